"""Mutants made up from the text of the source: a statement deleted, a comparison flipped, a bound off by one.

Reads C++ by its lines and brackets, not by its grammar; what does not compile is left out and said to be. The same seed
on the same tree gives the same mutants. tests/mutants/equivalent.txt explains those that no test can notice.
"""
import random
import re

from mutant_sources import ROOT, Mutant

FILES = ("src/raft/*.cc", "src/server/replica*.cc", "src/storage/*.cc", "src/peer/codec.cc", "src/peer/fields.cc",
         "src/peer/frame.cc", "src/peer/parts.cc", "src/peer/forward.cc", "src/keyspace/*.cc")
FLIPPED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
STATEMENT = re.compile(r"(?!return\b|break\b|continue\b|case\b|using\b|else\b|LETO_|const\b|auto\b|static|public|private)"
                       r"(?:[\w.\->\[\]:*]+(?:\(.*\)|\[.*\])*(?: [-+|&]?= .*|\(.*\)|\+\+|--)|(?:\+\+|--)[\w.\->\[\]()*]+"
                       r"|(?:if|while) \(.*\) .*[\w)\]+}-]);$")
LEFT_ENDS = ("(", "[", "{", ",", ";", "&& ", "|| ", "? ", " : ", " = ", "return ")
RIGHT_ENDS = (")", "]", "}", ",", ";", " &&", " ||", " ?", " : ")


def balanced(text):
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth < 0:
            return False
    return depth == 0


def left_operand(line, end):
    """Where the operand that ends at `end` begins, on this line."""
    depth = 0
    for at in range(end - 1, -1, -1):
        if line[at] in ")]}":
            depth += 1
        elif line[at] in "([{":
            if depth == 0:
                return at + 1
            depth -= 1
        elif depth == 0:
            for mark in LEFT_ENDS:
                if line.startswith(mark, at) and not (mark == "[" or at + len(mark) > end):
                    return at + len(mark)
    return len(line) - len(line.lstrip())


def right_operand(line, start):
    """Where the operand that begins at `start` ends, or None if that is not on this line."""
    depth = 0
    for at in range(start, len(line)):
        if depth == 0 and any(line.startswith(mark, at) for mark in RIGHT_ENDS):
            return at
        depth += (line[at] in "([{") - (line[at] in ")]}")
    return None


def flips(line):
    for found in re.finditer(r" (<=|>=|==|!=|<|>) ", line):
        start, end = left_operand(line, found.start()), right_operand(line, found.end())
        if end is None or not balanced(line[start:end]):
            continue
        while line[start] == " ":
            start += 1
        new = line[start:found.start(1)] + FLIPPED[found.group(1)] + line[found.end(1):end]
        yield "flip", start, line[start:end], new


def off_by_one(line):
    for found in re.finditer(r"(?<= [-+] )1(?=[);,\]]| )", line):
        yield "bound", found.start(), "1", "0"


def deletions(line, previous):
    text = line.strip()
    begins = previous.rstrip().endswith((";", "{", "}", ":")) or not previous.strip() or previous.strip().startswith("//")
    if begins and balanced(text) and STATEMENT.match(text):
        yield "delete", line.index(text), text, ""


def sites(path):
    """(kind, start, old, new, line number) of all that can be changed in a file."""
    start, previous, depth = 0, "", 0
    for number, line in enumerate((ROOT / path).read_text().splitlines(keepends=True), 1):
        text = line.rstrip("\n")
        code = text.split("//")[0]
        inside = text.startswith("  ") and not re.search(r"LETO_|static_assert|constexpr|template|^\s*(//|\")|base::format", text)
        follows = not previous.strip() or previous.rstrip().endswith((";", "{", "}", "(", ",", "&&", "||", "?", ":", "="))
        if inside and depth == 0:
            found = list(deletions(code, previous))
            if follows or previous.strip().startswith("//"):
                found += [*flips(code), *off_by_one(code)]
            for kind, column, old, new in found:
                yield kind, start + column, old, new, number
        # An assertion that spans lines is not looked into.
        if "LETO_" in code or depth > 0:
            depth += code.count("(") - code.count(")")
        start += len(line)
        previous = code if code.strip() else previous
    return


def whole_line(mutant):
    """The lines that it touches, before and after, as equivalent.txt names them."""
    text = (ROOT / mutant.path).read_text()
    start, end = text.rfind("\n", 0, mutant.start) + 1, text.find("\n", mutant.end)
    after = text[start:mutant.start] + mutant.new + text[mutant.end:end]
    return text[start:end].strip(), after.strip()


def make(count, seed):
    drawn = random.Random(seed)
    by_kind = {}
    for pattern in FILES:
        for path in sorted(ROOT.glob(pattern)):
            name = str(path.relative_to(ROOT))
            for kind, start, old, new, line in sites(name):
                by_kind.setdefault(kind, []).append((name, start, old, new, line))
    mutants = []
    while len(mutants) < count and any(by_kind.values()):
        kind = drawn.choice(sorted(kind for kind in by_kind if by_kind[kind]))
        path, start, old, new, line = by_kind[kind].pop(drawn.randrange(len(by_kind[kind])))
        mutant = Mutant(name=f"{path[4:]}:{line}", what="", path=path, start=start, old=old, new=new)
        before, after = whole_line(mutant)
        mutant.what = f"{before}  ->  {after or 'nothing'}"
        mutants.append(mutant)
    return mutants


def explained(mutants):
    """Those of which equivalent.txt says why nothing can notice them."""
    known = set()
    path = None
    before = None
    for line in (ROOT / "tests" / "mutants" / "equivalent.txt").read_text().splitlines():
        if line.startswith("file "):
            path = line[5:].strip()
        elif line.startswith("- "):
            before = line[2:].strip()
        elif line.startswith("+"):
            known.add((path, before, line[1:].strip()))
    return [mutant for mutant in mutants if (mutant.path, *whole_line(mutant)) in known]
