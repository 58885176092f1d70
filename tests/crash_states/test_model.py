#!/usr/bin/env python3
"""Tests of the harness's own parts: what the model of a disk may leave, how files are judged."""

import unittest

from disk import SECTOR
from history import Names, Node, Resize, Sync, Write
from ledger import Ledger, Message, Update, box
from promises import check_file, check_texts, messages_of
from recording import started
from states import KILL, POWER, enumerate_states
from strace import parse, split

OLD = b"o" * 600


class Disks(unittest.TestCase):
    """A directory with one file of 600 octets."""

    def setUp(self):
        self.file = Node(inode=3, content=bytearray(OLD), label="file")
        self.root = Node(is_directory=True, entries={"file": self.file})
        self.moment = 0
        self.operations = []

    def do(self, kind, **fields):
        self.moment += 1
        self.operations.append(kind(self.moment, self.moment, 1.0, kind.__name__, **fields))

    def left(self, kind=POWER, name="file"):
        """What the file may hold under that name; None among it if the name may be missing."""
        found = enumerate_states(started(self.root), self.operations, (kind,))
        disks = [{path: content.octets() for path, _, content in one.files}
                 for one in found.values() if one.moment == len(self.operations) - 1]
        return {disk.get(name) for disk in disks}

    def test_what_is_synced_stays(self):
        self.do(Write, node=self.file, offset=600, data=b"new")
        self.do(Sync, node=self.file)
        self.assertEqual(self.left(), {OLD + b"new"})

    def test_an_unsynced_append_may_be_there_torn_or_not_at_all(self):
        self.do(Write, node=self.file, offset=600, data=b"new")
        left = self.left()
        self.assertLessEqual({OLD, OLD + b"n", OLD + b"new", OLD + b"\0\0\0"}, left)
        self.assertEqual({disk[:600] for disk in left}, {OLD})

    def test_a_sync_that_began_before_a_write_had_ended_does_not_cover_it(self):
        self.operations.append(Write(1, 5, 1.0, "write", self.file, 600, b"new"))
        self.operations.append(Sync(4, 6, 1.0, "sync", self.file))
        self.assertIn(OLD, self.left())

    def test_a_later_write_to_a_sector_does_not_survive_without_the_earlier(self):
        self.do(Write, node=self.file, offset=0, data=b"1")
        self.do(Write, node=self.file, offset=1, data=b"2")
        self.assertNotIn(b"o2" + OLD[2:], self.left())

    def test_sectors_survive_each_for_itself(self):
        self.do(Write, node=self.file, offset=0, data=b"1")
        self.do(Write, node=self.file, offset=SECTOR, data=b"2")
        later = OLD[:SECTOR] + b"2" + OLD[SECTOR + 1 :]
        self.assertIn(later, self.left())

    def test_a_kill_keeps_the_page_cache_and_may_cut_the_last_write(self):
        self.do(Write, node=self.file, offset=600, data=b"1")
        self.do(Write, node=self.file, offset=601, data=b"23")
        self.assertEqual(self.left(KILL), {OLD + b"12", OLD + b"123"})

    def test_a_sync_of_a_new_file_does_not_make_its_name_durable(self):
        new = Node(inode=4, label="new")
        self.do(Names, changes=[(self.root, "new", new)])
        self.do(Write, node=new, offset=0, data=b"new")
        self.do(Sync, node=new)
        self.assertEqual(self.left(name="new"), {None, b"new"})

    def test_a_sync_of_a_directory_does_not_make_what_a_name_stands_for_durable(self):
        new = Node(inode=4, label="new")
        self.do(Names, changes=[(self.root, "new", new)])
        self.do(Write, node=new, offset=0, data=b"new")
        self.do(Sync, node=self.root)
        left = self.left(name="new")
        self.assertNotIn(None, left)
        self.assertLessEqual({b"", b"\0\0\0", b"new"}, left)

    def test_a_rename_is_old_or_new(self):
        draft = Node(inode=4, label="draft")
        self.do(Names, changes=[(self.root, "draft", draft)])
        self.do(Write, node=draft, offset=0, data=b"new")
        self.do(Sync, node=draft)
        self.do(Sync, node=self.root)
        self.do(Names, changes=[(self.root, "draft", None), (self.root, "file", draft)])
        self.assertEqual(self.left(), {OLD, b"new"})

    def test_a_truncation_may_be_lost(self):
        self.do(Resize, node=self.file, size=0)
        self.assertEqual(self.left(), {OLD, b""})


class Judging(unittest.TestCase):
    def setUp(self):
        self.ledger = Ledger(("u",))
        for name in ("one", "two"):
            text = f"Subject: {name}\r\n\r\n{name} has some text\r\n".encode()
            self.ledger.messages.append(Message(name, text, ("u",), promised=name))
        self.texts = {one.name: one.text for one in self.ledger.messages}
        self.one, self.two = self.texts.values()

    def wrong(self, served, kept=("one", "two")):
        return list(check_texts(box(self.ledger, "u", set(kept)), self.texts, served))

    def test_what_was_promised_must_be_there_once(self):
        self.assertEqual(self.wrong([self.one, self.two]), [])
        self.assertEqual(self.wrong([self.one]), ["u: two, which was promised, is not there"])
        self.assertEqual(self.wrong([self.one] * 2, ["one"]), ["u: one is there 2 times"])

    def test_what_was_not_promised_may_be_there_whole(self):
        self.assertEqual(self.wrong([self.one], ["one"]), [])
        self.assertEqual(self.wrong([self.one, self.two], ["one"]), [])
        self.assertIn("torn piece of two", self.wrong([self.one, self.two[:30]], ["one"])[0])

    def test_an_update_is_old_or_new(self):
        self.ledger.updates.append(Update("u", ("one", "two"), "update"))
        self.assertEqual(self.wrong([]), [])
        self.assertEqual(self.wrong([self.one, self.two]), [])
        self.assertIn("in part", self.wrong([self.one])[0])
        self.assertIn("there again", self.wrong([self.one], ["one", "two", "update"])[0])

    def test_a_file_is_read_without_the_program(self):
        line = b"From <a@b> Wed Sep 17 11:00:00 2025\n"
        self.assertEqual(messages_of(line + self.one + b"\n" + line + self.two + b"\n"),
                         [self.one, self.two])
        self.assertEqual(messages_of(line + b">From x\r\n\n"), [b"From x\r\n"])
        judged = box(self.ledger, "u", {"one"})
        for glued in (self.one + line + self.two + b"\n", self.one[:20] + line + self.two + b"\n"):
            self.assertTrue(list(check_file(judged, self.texts, line + glued)), glued)


class Traces(unittest.TestCase):
    def test_arguments_are_split_at_commas_outside_of_brackets(self):
        self.assertEqual(split("3<TCP:[a:1->b:2]>, [{x=1, y=2}, 5], NULL"),
                         ["3<TCP:[a:1->b:2]>", "[{x=1, y=2}, 5]", "NULL"])

    def test_a_call_that_was_interrupted_keeps_the_moment_at_which_it_began(self):
        waiting = {}
        self.assertIsNone(parse(1, 1.0, 5, r'write(3, "\x61", 1 <unfinished ...>', waiting))
        call = parse(1, 2.0, 9, "<... write resumed>) = 1", waiting)
        self.assertEqual((call.begin, call.end, call.octets(1), call.result), (5, 9, b"a", 1))


if __name__ == "__main__":
    unittest.main()
