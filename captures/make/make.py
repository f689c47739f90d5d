"""Makes every case, or those named: one folder a case under captures/."""

import pathlib
import shutil
import sys
import time

import cases  # noqa: F401  (registers them)
import check
from capture import CASES, Room


def main():
    captures = pathlib.Path(__file__).resolve().parent.parent
    wanted = sys.argv[1:] or list(CASES)
    faults = []
    for name in wanted:
        make, leaking, why = CASES[name]
        folder = captures / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        room = Room(name, leaking, folder)
        started = time.monotonic()
        try:
            make(room)
        except Exception as error:
            faults.append(f"{name}: {error!r}")
            print(f"{name:36} FAILED {error!r}", flush=True)
            continue
        room.write_truth(why)
        found = check.faults(folder, leaking)
        faults += found
        print(f"{name:36} {len(room.truth):2} leaks {time.monotonic() - started:5.1f} s {check.brief(folder)}", *found, sep="\n    " if found else " ", flush=True)
    print(f"{len(wanted)} cases, {len(faults)} faults", *faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
