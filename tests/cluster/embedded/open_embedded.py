"""A program that opens the manager at a given URL and carries out the commands it reads."""

import sys

from clusterpass import SessionManager


def main() -> None:
    with SessionManager.from_url(sys.argv[1]) as manager:
        print(manager.store.location.seeds, flush=True)
        for line in sys.stdin:
            match line.split():
                case ["login", subject]:
                    print(manager.login(subject).access_token, flush=True)
                case ["verify", token]:
                    print(manager.verify(token).subject, flush=True)
                case ["close"]:
                    break
    print("closed", flush=True)


if __name__ == "__main__":
    main()
