# What a test needs beside Leto, built once in a run from a C++ file of this folder, with the compiler that builds Leto.

set compiled_sources [file dirname [file normalize [info script]]]

# Returns the path of what `flags` make of the file, under that name; skips the test where there is no compiler.
proc compiled {file name flags} {
    set source [file join $::compiled_sources $file]
    set built [file join $harness::root $name]
    if {[file exists $built]} { return $built }
    set given [expr {[info exists ::env(CXX)] ? $::env(CXX) : ""}]
    foreach compiler [list $given g++ clang++ c++] {
        if {$compiler eq "" || [auto_execok $compiler] eq ""} continue
        exec $compiler -std=c++20 -O1 -Wall -Wextra -Werror {*}$flags -o $built.new $source 2>@1
        file rename -force $built.new $built
        return $built
    }
    skip "no compiler for $source"
}
