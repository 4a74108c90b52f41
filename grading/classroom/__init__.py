"""A folder of submissions: graded side by side, resumed after a kill, told in one table."""
