"""Mutants as switches: reads what they change, and builds programs in which each change can be switched on.

A mutant replaces a text that occurs exactly once in one file. All mutants of a file are compiled into it at once,
each behind a condition that is true iff LETO_MUTANT in the environment is its number; with another value, or none, the
program is the original. Mutants whose texts overlap go into a second set of programs, a third one and so on.
Nothing of this is in src/: the changed copies live below build/mutants.
"""
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "mutants"

SWITCH_HEADER = """#pragma once
namespace leto_mutants {
extern const int chosen;
inline bool on(int mutant) { return chosen == mutant; }
}
"""
SWITCH_SOURCE = """#include <cstdlib>
#include "switch.h"
namespace leto_mutants {
const int chosen = [] {
  const char* text = std::getenv("LETO_MUTANT");
  return text ? std::atoi(text) : 0;
}();
}
"""


@dataclass
class Mutant:
    name: str
    what: str
    path: str               # Of the file it changes, from the root.
    start: int              # Of the replaced text in it.
    old: str
    new: str
    tests: list = field(default_factory=list)  # Arguments of the unit tests that are run first.
    by_chaos: bool = False  # Whether clusters of real processes are to notice it.
    number: int = 0
    programs: object = None
    broken: str = ""        # Why it cannot be judged.

    @property
    def end(self):
        return self.start + len(self.old)

    @property
    def is_core(self):
        """Of src/raft, or of what Raft needs kept around it: the D rules of disks, starts and snapshots,
        pipelines, and cluster time."""
        return self.path.startswith("src/raft/") or re.match(r"d\d+-|pipeline-|time-", self.name) is not None


def parse(path):
    """A file of tests/mutants; tests/mutants/README.md says what is in it."""
    head, _, texts = path.read_text().partition("\nreplace:\n")
    old, separator, new = texts.partition("\nby:\n")
    lines = head.splitlines()
    name, _, what = lines[0].partition(": ")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    mutant = Mutant(name=name, what=what, path=fields.get("file", ""), start=-1, old=old.strip("\n"), new=new.strip("\n"))
    noticed_by = fields.get("noticed-by", "").split()
    mutant.by_chaos = "chaos" in noticed_by
    for wanted in (name for name in noticed_by if name != "chaos"):
        mutant.tests.append(f"--source-file=*{wanted}*")
    if name != path.stem or not what or not separator or not mutant.old or not (ROOT / mutant.path).is_file():
        mutant.broken = "not a mutant: see tests/mutants/README.md"
        return mutant
    text = (ROOT / mutant.path).read_text()
    within = fields.get("within", text)
    for wanted, place in ((within, text), (mutant.old, within)):
        if place.count(wanted) != 1:
            mutant.broken = f"no longer applies: its text occurs {place.count(wanted)} times in {mutant.path}"
    mutant.start = text.find(within) + within.find(mutant.old)
    return mutant


def switched(group):
    """One text that is, by switch, the original or one of the mutants that replace exactly it."""
    old = group[0].old
    if old.rstrip().endswith(";") or (old.rstrip().endswith("}") and ";" in old):
        # Statements. On the lines of the original, so that what a compiler or an assertion names is found there.
        choice = "".join(f"if (leto_mutants::on({mutant.number})) {{ {one_line(mutant.new)} }} else " for mutant in group)
        return f"{{ {choice}{{ {old} }} }}"
    choice = "".join(f"leto_mutants::on({mutant.number}) ? ({one_line(mutant.new)}) : " for mutant in group)
    return f"({choice}({old}))"


def one_line(text):
    return " ".join(line.split("//")[0].strip() for line in text.splitlines())


def with_switches(text, mutants):
    places = {}
    for mutant in mutants:
        places.setdefault((mutant.start, mutant.end), []).append(mutant)
    for (start, end), group in sorted(places.items(), reverse=True):
        text = text[:start] + switched(group) + text[end:]
    return text


def overlaps(mutant, other):
    same = (mutant.start, mutant.end) == (other.start, other.end)
    return mutant.path == other.path and not same and mutant.start < other.end and other.start < mutant.end


class Programs:
    """What is to be tried, with the switches of mutants that do not overlap."""

    def __init__(self, folder, wanted):
        self.folder = folder
        self.wanted = wanted        # Programs, and what of the environment names their other objects.
        self.mutants = []

    def takes(self, mutant):
        return not any(overlaps(mutant, other) for other in self.mutants)

    def program(self, name):
        return self.folder / name

    def compile(self, path):
        """Compiles one file with its switches; mutants that do not compile are told so and left out."""
        mine = [mutant for mutant in self.mutants if mutant.path == path]
        if self.compile_with(path, mine):
            return
        for mutant in mine:
            if not self.compile_with(path, [mutant]):
                mutant.broken = "does not compile"
        self.compile_with(path, [mutant for mutant in mine if not mutant.broken])

    def compile_with(self, path, mutants):
        copy = self.folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(with_switches((ROOT / path).read_text(), mutants))
        command = shlex.split(os.environ["MUTANTS_COMPILE"])
        command += ["-w", "-g0", "-O1", "-include", str(BUILD / "switch.h"), "-c", str(copy), "-o", str(copy.with_suffix(".o"))]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        self.complaint = next((line for line in done.stderr.splitlines() if "error" in line), "")
        return done.returncode == 0

    def link(self):
        objects = [str(self.folder / path) for path in sorted({m.path.replace(".cc", ".o") for m in self.mutants})]
        for name, rest in self.wanted:
            command = shlex.split(os.environ["MUTANTS_LINK"]) + objects + [str(BUILD / "switch.o")]
            command += shlex.split(os.environ[rest]) + shlex.split(os.environ["MUTANTS_LIBRARIES"])
            subprocess.run(command + ["-o", str(self.program(name))], cwd=ROOT, check=True)


def build(mutants, folder, wanted, jobs):
    """Gives each mutant that can be judged its number and its programs."""
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "switch.h").write_text(SWITCH_HEADER)
    (BUILD / "switch.cc").write_text(SWITCH_SOURCE)
    command = shlex.split(os.environ["MUTANTS_COMPILE"]) + ["-c", str(BUILD / "switch.cc"), "-o", str(BUILD / "switch.o")]
    subprocess.run(command, cwd=ROOT, check=True)
    sets = []
    for number, mutant in enumerate((mutant for mutant in mutants if not mutant.broken), 1):
        mutant.number = number
        programs = next((programs for programs in sets if programs.takes(mutant)), None)
        if programs is None:
            programs = Programs(BUILD / folder / str(len(sets) + 1), wanted)
            sets.append(programs)
        programs.mutants.append(mutant)
        mutant.programs = programs
    with ThreadPoolExecutor(jobs) as pool:
        work = [(programs, path) for programs in sets for path in sorted({mutant.path for mutant in programs.mutants})]
        list(pool.map(lambda item: item[0].compile(item[1]), work))
        list(pool.map(lambda programs: programs.link(), sets))
