"""`python -m tito`."""

from tito import main

if __name__ == "__main__":
    main()
