#!/usr/bin/env python3
"""What happens to disks, files and clocks: a clear error or a safe recovery, and nothing is lost.

Each test says what it breaks; docs/robustness.md has the list. The program under test:
$DOVETAIL_BINARY [build/dovetail]."""

import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import unittest

from tiny_study import TinyStudy, canonical, query, stop_looking

BINARY = pathlib.Path(os.environ.get("DOVETAIL_BINARY", "build/dovetail")).resolve()


def count(out, kind):
    return query(out, f"SELECT count(*) FROM results WHERE kind = '{kind}'")[0][0]


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


@contextlib.contextmanager
def small_disk(folder, size_kib):
    """A file system of its own; skips where this user may not mount one."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", folder],
                             capture_output=True, check=False)
    if mounted.returncode != 0:
        raise unittest.SkipTest("may not mount a small disk")
    try:
        yield
    finally:
        stop_looking()
        subprocess.run(["umount", folder], check=True)


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.study = TinyStudy(BINARY, cls.folder / "study")
        cls.finished = cls.folder / "finished"
        cls.whole = cls.study.finish(cls.finished, cache=cls.folder / "cache")
        cls.size = (cls.finished / "study.db").stat().st_size

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def out(self):
        """A copy of the finished study without its reports, to be broken."""
        out = self.folder / self.id().split(".")[-1]
        out.mkdir()
        shutil.copy(self.finished / "study.db", out)
        return out

    def changed(self, out, sql):
        db = sqlite3.connect(out / "study.db")
        db.executescript(sql)
        db.close()

    # --- no space

    def test_a_full_disk_loses_nothing(self):
        # Sizes at which the study stops in its database, and while it writes its reports.
        report_bytes = sum(path.stat().st_size for path in self.finished.iterdir() if path.is_file())
        failures = 0
        for share in (0.15, 0.4, 0.7):
            disk = self.folder / f"disk{share}"
            with small_disk(disk, int(report_bytes * share) // 1024):
                code, errors = self.study.run(disk / "out", cache=self.folder / "no_cache")
                if code == 0:
                    continue
                failures += 1
                self.assertEqual(code, 1, errors)
                self.assertRegex(errors, "[Nn]o space left")
                self.assertIn(str(disk / "out"), errors)
                stored = query(disk / "out", "SELECT count(*) FROM results")
                subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
                self.assertEqual(self.study.finish(disk / "out", cache=self.folder / "no_cache"),
                                 self.whole)
                if stored:
                    self.assertGreaterEqual(query(disk / "out", "SELECT count(*) FROM results")[0][0],
                                            stored[0][0])
        self.assertGreater(failures, 0)

    def test_a_limit_on_file_sizes_is_an_error_that_names_the_file(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (40960, 40960))

        out = self.folder / "limited"
        code, errors = self.study.run(out, preexec_fn=limit)
        self.assertEqual(code, 1, errors)
        self.assertIn(str(out), errors)
        self.assertEqual(self.study.finish(out), self.whole)

    # --- folders that cannot be written

    def run_unprivileged(self, out):
        """As a user to whom permissions apply."""
        def drop():
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)

        for path in (self.folder, *self.folder.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o055 if path.is_dir() else 0o044))
        return self.study.run(out, cache=self.folder / "nobodys_cache",
                              preexec_fn=drop if os.geteuid() == 0 else None)

    def test_a_read_only_folder_is_named(self):
        out = self.out()
        out.chmod(0o555)
        (out / "study.db").chmod(0o444)
        code, errors = self.run_unprivileged(out)
        out.chmod(0o755)
        self.assertEqual(code, 1, errors)
        self.assertIn(f"{out}/study.db: cannot be written; make the file and its folder writable",
                      errors)
        (out / "study.db").chmod(0o644)
        self.assertEqual(self.study.finish(out), self.whole)

    def test_a_folder_that_cannot_be_made_is_named(self):
        closed = self.folder / "closed"
        closed.mkdir()
        closed.chmod(0o555)
        code, errors = self.run_unprivileged(closed / "out")
        self.assertEqual(code, 1, errors)
        self.assertIn(f"{closed}/out: cannot be created", errors)

    # --- damage

    def test_flipped_bits_anywhere(self):
        draw = random.Random(4)
        whole = (self.finished / "study.db").read_bytes()
        out = self.out()
        repaired = 0
        for _ in range(6):
            damaged = bytearray(whole)
            for _ in range(30):
                damaged[draw.randrange(100, len(damaged))] ^= 1 << draw.randrange(8)
            empty(out)
            (out / "study.db").write_bytes(damaged)
            code, errors = self.study.run(out, cache=self.folder / "cache")
            if code == 0:
                self.assertEqual(canonical(out), self.whole)
                repaired += 1
            else:  # the header's own words: not a database, or another layout
                self.assertEqual(code, 2, errors)
                self.assertIn(f"{out}/study.db", errors)
        self.assertGreater(repaired, 2)

    def test_a_database_that_ends_early(self):
        whole = (self.finished / "study.db").read_bytes()
        out = self.out()
        for length in (0, 1, 99, 4096, 5000, len(whole) // 2, len(whole) - 4096, len(whole) - 1):
            empty(out)
            (out / "study.db").write_bytes(whole[:length])
            code, errors = self.study.run(out, cache=self.folder / "cache")
            if code == 0:
                self.assertEqual(canonical(out), self.whole, length)
            else:
                self.assertEqual(code, 2, errors)
                self.assertIn(f"{out}/study.db", errors)
                self.assertIn("move the file away", errors)

    # --- other versions

    def test_the_first_layout_becomes_todays_and_nothing_is_computed_again(self):
        out = self.out()
        kinds = query(out, "SELECT kind, count(*) FROM results GROUP BY kind")
        self.changed(out, "ALTER TABLE results RENAME TO old; CREATE TABLE results (kind TEXT NOT NULL,"
                          " key TEXT NOT NULL, input TEXT NOT NULL, value TEXT NOT NULL,"
                          " PRIMARY KEY (kind, key)); INSERT INTO results SELECT kind, key, input,"
                          " value FROM old; DROP TABLE old; DROP TABLE leases; DROP TABLE damaged;"
                          " UPDATE meta SET value = '1' WHERE key = 'schema_version'")
        self.assertEqual(self.study.finish(out, cache="/proc/none"), self.whole)
        self.assertEqual(query(out, "SELECT kind, count(*) FROM results GROUP BY kind"), kinds)

    def test_a_newer_layout_is_refused_and_left_alone(self):
        out = self.out()
        self.changed(out, "UPDATE meta SET value = '99' WHERE key = 'schema_version'")
        before = (out / "study.db").read_bytes()
        code, errors = self.study.run(out)
        self.assertEqual(code, 2, errors)
        self.assertIn(f"{out}/study.db: schema_version = 99, want 1..", errors)
        self.assertIn("use the release that wrote it", errors)
        self.assertEqual((out / "study.db").read_bytes(), before)

    # --- leases and clocks

    def test_leases_of_the_dead_do_not_hold_a_study_up(self):
        out = self.folder / "left"
        self.study.finish(out)
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = os.readlink("/proc/self/ns/pid")
        self.changed(out, "DELETE FROM results WHERE kind IN ('scenario', 'tornado_search', 'sweep');"
                          "INSERT INTO leases SELECT kind, key, '%s/%s 4194305 1', 7 FROM results"
                          % (boot, space))
        self.assertEqual(self.study.finish(out), self.whole)

    def test_the_wall_clock_is_not_read(self):
        # The lease's time is its holder's heartbeat and its observer's monotonic clock.
        source = pathlib.Path(__file__).resolve().parents[2] / "src"
        for folder in ("record", "study"):
            for path in sorted((source / folder).glob("*.cc")):
                for word in ("system_clock", "CLOCK_REALTIME", "gettimeofday", "std::time("):
                    self.assertNotIn(word, path.read_text(), path)


if __name__ == "__main__":
    unittest.main()
