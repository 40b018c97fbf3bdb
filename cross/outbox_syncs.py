"""Counts the syncs that each durability class promises, from a strace of the real binary; called by outbox-e2e.sh.

usage: outbox_syncs.py BINARY WORK

A segment's pwrite64 carries whole records and a mark of 16 bytes; a window record is 1,024 bytes long. `durable_seq` in
an answer of GET /v1/outbox is held against the syncs that had returned by then: it may never be ahead of them. A batch
is held against the cursor as last synced before its first byte was sent: it has to fix exactly this batch.
"""

import ast
import os
import re
import struct
import sys
import time

from outbox_rig import Daemon, Receiver, fail

RECORD = 1024
MARK = 16
HEAD = 136
ZEROS = 64 << 10  # class each fills a new segment with zeros, in pieces of this size
SECONDS = 6
GROUP_MS = 1000

CALL = re.compile(r"^(?P<thread>\d+) +(?P<at>[\d.]+) (?P<rest>.*)$")
ON_FILE = re.compile(r"^(?P<call>pwrite64|fdatasync|fsync)\(\d+<[^>]*/outbox/[^/>]+\.(?P<kind>seg|free|cursor)>(?P<rest>.*)")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
SLOT = 68  # of a cursor: acknowledged at 24, last position of the frozen batch at 32
EVENT = re.compile(r'"id":"[^"]*-(\d+)"')
RESUMED = re.compile(r"^<\.\.\. (?P<call>fdatasync|fsync|pwrite64) resumed>.*= (?P<result>-?\d+)")
DURABLE = re.compile(r'\\"durable_seq\\":(\d+)')


class Trace:
    """The writes and syncs of the segments, in order."""

    def __init__(self, path):
        self.writes, self.syncs, self.cursor_syncs, self.directory_syncs = [], [], 0, 0
        self.written = self.synced = self.times_asked = 0
        self.slot = self.slot_synced = (0, 0)
        self.batches = []  # what the disk knew of the cursor when a batch was sent
        self.answers = []
        self.moments = []
        pending = {}
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                found = CALL.match(line)
                if not found:
                    continue
                thread, rest = found["thread"], found["rest"]
                if resumed := RESUMED.match(rest):
                    self.done(pending.pop(thread, None), int(resumed["result"]), found["at"])
                elif call := ON_FILE.match(rest):
                    if "<unfinished" in rest:
                        pending[thread] = call
                    else:
                        self.done(call, int(rest.rsplit("= ", 1)[1].split()[0]), found["at"])
                elif re.match(r"(statx|fstat)\(\d+<[^>]*\.(seg|free|cursor)>", rest) and "NLINK, " not in rest:
                    self.times_asked += 1
                elif re.match(r"fsync\(\d+<[^>]*/outbox>", rest):
                    self.directory_syncs += 1
                elif rest.startswith(("sendto(", "write(", "writev(")):
                    for number in DURABLE.findall(rest):
                        self.answers.append((int(number), self.synced))
                    if '"POST ' in rest:
                        self.batches.append(self.slot_synced)

    def done(self, found, result, at):
        if found is None:
            return  # of another file
        call, arguments = found["call"], found["rest"]
        if result < 0:
            fail(f"{call} on a file of the outbox failed: {arguments}")
        if found["kind"] == "cursor":
            if call != "pwrite64":
                self.cursor_syncs += 1
                self.slot_synced = self.slot
            elif result == SLOT:
                self.slot = struct.unpack_from("<QQ", ast.literal_eval("b" + STRING.search(arguments)[0]), 24)
        elif call == "pwrite64":
            if result in (HEAD, ZEROS):
                return
            records, rest = divmod(result - MARK, RECORD)
            if rest:
                fail(f"a write of {result} bytes is not whole records and a mark")
            self.writes.append(records)
            self.written += records
        else:
            self.syncs.append(self.written - self.synced)
            self.synced = self.written
            self.moments.append(float(at))


def run(binary, work, durability):
    data = os.path.join(work, durability)
    trace = os.path.join(work, f"{durability}.trace")
    wrap = ["strace", "-f", "--seccomp-bpf", "-y", "-ttt", "-qq", "-s", "4096", "-o", trace]
    wrap += ["-e", "trace=pwrite64,pwritev,pwritev2,fdatasync,fsync,sync_file_range,sync,syncfs,sendto,write,writev,statx,fstat"]
    outbox = f'durability = "{durability}"\ngroup_records = 64'
    rig = os.path.join(work, f"{durability}-rig")
    receiver = Receiver()
    daemon = Daemon(binary, rig, data, receiver.port, outbox=outbox, group_ms=GROUP_MS, segment_bytes=1 << 20, wrap=wrap)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        daemon.outbox()
        time.sleep(0.02)
    durable = daemon.outbox()["durable_seq"]
    daemon.stop()
    return Trace(trace), durable, [body for _, body in receiver.bodies]


def check_cursor(durability, trace, bodies):
    """Positions and sequence numbers are equal in the first boot of a directory."""
    if not 0 < len(bodies) <= len(trace.batches):
        fail(f"{durability}: {len(trace.batches)} batches were sent and {len(bodies)} arrived")
    if durability == "none":
        if trace.cursor_syncs:
            fail(f"none: {trace.cursor_syncs} syncs of the cursor")
        return f"{len(bodies)} batches, no sync of the cursor"
    for (taken, through), body in zip(trace.batches, bodies):
        numbers = [int(number) for number in EVENT.findall(body)]
        if (taken + 1, through) != (numbers[0], numbers[-1]):
            fail(f"{durability}: records {numbers[0]} to {numbers[-1]} were sent while the disk knew of {taken + 1} to {through}")
    # Including what was acknowledged, if no batch followed within the time of a group.
    if trace.cursor_syncs > 2 * len(trace.batches) + 2:
        fail(f"{durability}: {trace.cursor_syncs} syncs of the cursor for {len(trace.batches)} batches")
    return f"{len(bodies)} batches, each behind its sync of the cursor, {trace.cursor_syncs} of these"


def main():
    binary, work = sys.argv[1:]
    os.makedirs(work, exist_ok=True)
    for durability in ("each", "group", "none"):
        trace, durable, bodies = run(binary, work, durability)
        ahead = [pair for pair in trace.answers if pair[0] > pair[1]]
        if ahead:
            fail(f"{durability}: called durable before the sync had returned (said, synced): {ahead[:5]}")
        told = len(trace.answers)
        line = f"{durability}: {trace.written} records in {len(trace.writes)} writes, {len(trace.syncs)} syncs of segments"
        if trace.written < 200 or told < 20:
            fail(f"{line}, {told} answers: too few to say anything")
        seconds = trace.moments[-1] - trace.moments[0] if len(trace.moments) > 1 else 0
        if durability == "each":
            if trace.writes.count(1) != len(trace.writes) or len(trace.syncs) < trace.written:
                fail(f"{line}: each record needs a separate write and sync")
        elif durability == "group":
            # Full groups, groups whose time was up, and groups split by the end of a segment.
            most = trace.written / 64 + seconds * 1000 / GROUP_MS + trace.directory_syncs + 3
            if not trace.written / 1024 <= len(trace.syncs) <= most or max(trace.syncs) > 1024:
                fail(f"{line} in {seconds:.1f} s: at most {most:.0f} are due")
        elif durable != 0 or len(trace.syncs) > 1:
            fail(f"{line}, durable_seq {durable}: only the flush at the end may sync")
        if trace.times_asked:
            # Linux 6.13 and later: the next write then stores them at once, which costs a quarter of the rate.
            fail(f"{line}: {trace.times_asked} times its times were asked for")
        if durability != "none" and durable == 0:
            fail(f"{line}: nothing was ever durable")
        cursor = check_cursor(durability, trace, bodies)
        print(f"{line} in {seconds:.1f} s, {trace.directory_syncs} of the directory; {told} answers never ahead of them; {cursor}")


if __name__ == "__main__":
    main()
