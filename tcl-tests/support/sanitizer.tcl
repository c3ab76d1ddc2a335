# The sanitizer that bin/leto was built with, as it says itself: what it finds in any process fails the test, and what takes
# longer under it is given longer. Refuses to know what a test does.
#
# Each process writes what was found in it into a file of its own, report.PID in the test's directory, so nothing is lost to
# who reads stderr, to kill -9, or to a status that a test expected. But g++'s sanitizer of undefined behaviour knows stderr
# alone beside that of addresses: those files are looked through, too.

namespace eval sanitizer {
    variable name ""      ;# address, thread, or empty.
    variable factor 1     ;# How much longer things may take.
    # The one doubles the time, the other takes from five to fifteen times the CPU.
    variable factors {address 3 thread 8}
    # Of a node that takes longer for all it does: it is not to be missed so soon, nor are its clients to give up.
    variable options {
        address {-election-timeout 800 -request-timeout 15000}
        thread {-election-timeout 1600 -request-timeout 40000}
    }
    variable given        ;# Options of the sanitizers from outside, which win.
    foreach variable {ASAN_OPTIONS LSAN_OPTIONS TSAN_OPTIONS UBSAN_OPTIONS} {
        set given($variable) [expr {[info exists ::env($variable)] ? ":$::env($variable)" : ""}]
    }
}

# Asks the binary.
proc sanitizer::look {binary} {
    variable name; variable factor; variable factors
    if {![file executable $binary]} return
    if {[catch {exec $binary --version 2>@1} text]} { error "$binary --version: $text" }
    if {[regexp {built with the (\w+) sanitizer} $text -> name]} { set factor [dict get $factors $name] }
}

# What is printed once, above the tests, where there is one.
proc sanitizer::describe {} {
    variable name; variable factor
    variable options
    return "built with the $name sanitizer: waits and bounds of time are $factor times as long, large amounts of work 1/$factor,\
        nodes run with [dict get $options $name]"
}

# Options of a node beside `given`, those that a test gives it.
proc sanitizer::options_beside {given} {
    variable name; variable options
    set beside {}
    if {$name eq ""} { return $beside }
    dict for {option value} [dict get $options $name] {
        if {[lsearch -regexp $given "^-?$option$"] < 0} { lappend beside $option $value }
    }
    return $beside
}

# From now on processes report into this directory.
proc sanitizer::report_into {directory} {
    variable name; variable given
    if {$name eq ""} return
    foreach variable [array names given] {
        set ::env($variable) "log_path=[file join $directory report]$given($variable)"
    }
    append ::env(UBSAN_OPTIONS) ":print_stacktrace=1"
}

# The files of what was found, each of one process.
proc sanitizer::reports {directory} {
    variable name
    set found [lsort [glob -nocomplain -directory $directory report.*]]
    if {$name eq ""} { return $found }
    foreach path [lsort [glob -nocomplain -directory $directory *.err]] {
        if {[regexp {: runtime error: |Sanitizer: } [read_file $path]]} { lappend found $path }
    }
    return $found
}

# An amount of work that takes long: less under a sanitizer.
proc fewer {count} { return [expr {$count / $sanitizer::factor}] }

# A time that is a bound on how fast Leto is, or a patience: longer under a sanitizer.
proc scaled {value} { return [expr {$value * $sanitizer::factor}] }

