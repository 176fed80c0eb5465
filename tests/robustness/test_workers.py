#!/usr/bin/env python3
"""Several processes on one study, threads, and a worker that dies: always the same canonical export.

The program under test: $DOVETAIL_BINARY [build/dovetail]."""

import os
import pathlib
import signal
import tempfile
import time
import unittest

from tiny_study import TinyStudy, kinds_at_work, query

BINARY = pathlib.Path(os.environ.get("DOVETAIL_BINARY", "build/dovetail")).resolve()


class Workers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = pathlib.Path(cls.temporary.name)
        cls.study = TinyStudy(BINARY, cls.folder / "study")
        cls.alone = cls.study.finish(cls.folder / "alone")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def out(self):
        return self.folder / self.id().split(".")[-1]

    def test_any_number_of_threads(self):
        for threads in (2, 3, 4):
            out = self.out() / str(threads)
            self.assertEqual(self.study.finish(out, threads=threads), self.alone, threads)

    def test_thread_counts_of_libraries(self):
        env = {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3", "MKL_NUM_THREADS": "3"}
        self.assertEqual(self.study.finish(self.out(), threads=2, env=env), self.alone)

    def test_two_workers(self):
        self.assertEqual(self.study.finish(self.out(), "--workers", "2"), self.alone)
        self.assertEqual(kinds_at_work(self.out()), [])

    def test_a_process_that_is_started_by_hand_joins(self):
        first = self.study.start(self.out())
        second = self.study.start(self.out(), threads=2)
        for process in (first, second):
            _, errors = process.communicate(timeout=600)
            self.assertEqual(process.returncode, 0, errors)
        self.assertEqual((self.out() / "canonical.json").read_bytes(), self.alone)
        self.assertEqual(kinds_at_work(self.out()), [])

    def workers_that_hold(self, out, count, process):
        while process.poll() is None:
            holders = {worker for (worker,) in query(out, "SELECT worker FROM leases")}
            if len(holders) >= count:
                return sorted(holders)
        self.fail("the study was over before two workers were at work")

    def test_the_work_of_a_killed_worker_is_taken_over(self):
        out = self.out()
        processes = [self.study.start(out), self.study.start(out)]
        holders = self.workers_that_hold(out, 2, processes[0])
        numbers = {int(holder.split()[1]) for holder in holders}
        self.assertEqual(numbers, {process.pid for process in processes})
        processes[0].send_signal(signal.SIGKILL)
        _, errors = processes[1].communicate(timeout=600)
        processes[0].communicate()
        self.assertEqual(processes[0].returncode, -signal.SIGKILL)
        self.assertEqual(processes[1].returncode, 0, errors)
        self.assertEqual((out / "canonical.json").read_bytes(), self.alone)
        self.assertEqual(kinds_at_work(out), [])

    def test_workers_end_with_the_process_that_started_them(self):
        out = self.out()
        process = self.study.start(out, "--workers", "3")
        holders = self.workers_that_hold(out, 2, process)
        others = [int(holder.split()[1]) for holder in holders]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        patience = time.monotonic() + 60
        while any(pathlib.Path(f"/proc/{pid}/exe").exists() and self.runs(pid) for pid in others):
            self.assertLess(time.monotonic(), patience, "a worker outlived the process")
            time.sleep(0.01)
        self.assertEqual(self.study.finish(out), self.alone)

    @staticmethod
    def runs(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False


if __name__ == "__main__":
    unittest.main()
