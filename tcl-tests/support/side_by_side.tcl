# Several files of tests at once, for machines that have cores to spare: each in a runner of its own, with its own directory and
# ports. What it printed comes when it is through. A file whose head has a line that begins with `# Runs alone` measures time, or
# needs fixed ports: these come last, one by one. Refuses to know what a test is.
namespace eval side_by_side {
    variable runners 0    ;# Under way.
    variable heard 0
}

proc side_by_side::runs_alone {path} {
    set file [open $path]
    set alone 0
    while {[gets $file line] >= 0 && [string match "#*" $line]} {
        if {[string match "# Runs alone*" $line]} { set alone 1 }
    }
    close $file
    return $alone
}

# At most `jobs` of the files at a time. `runner` is the command that runs one file whose name is put behind it; calls `said` with
# each line that it prints, when it is through: of one that ended without a count that is said.
proc side_by_side::run {names jobs runner said} {
    variable runners
    foreach name $names {
        while {$runners >= $jobs} { vwait side_by_side::heard }
        start $name $runner $said
    }
    while {$runners > 0} { vwait side_by_side::heard }
}

proc side_by_side::start {name runner said} {
    variable runners
    set channel [open [list | {*}$runner $name 2>@1] r]
    chan configure $channel -blocking 0
    chan event $channel readable [list side_by_side::take $channel $name $said]
    set ::side_by_side::lines($channel) {}
    incr runners
}

proc side_by_side::take {channel name said} {
    variable lines
    variable runners
    while {[chan gets $channel line] >= 0} { lappend lines($channel) $line }
    if {![chan eof $channel]} return
    chan configure $channel -blocking 1
    catch {chan close $channel}
    if {[lsearch -regexp $lines($channel) {^tcl-tests: \d+ passed}] < 0} { lappend lines($channel) "FAILED: $name: its runner ended" }
    foreach line $lines($channel) { {*}$said $line }
    unset lines($channel)
    incr runners -1
    incr ::side_by_side::heard
}
