# What a test is: a sentence, a body, a time limit; and what it may say: assert, skip, wait for a condition.
# Runs in a worker process, one file of tests at a time, and reports to the runner by lines that begin with @.
# A test starts with nothing running and leaves nothing behind; it can run alone.

namespace eval harness {
    variable number 0        ;# Of the test within its file.
    variable wanted "*"
    variable first 1         ;# Tests before it were run already.
    variable listing 0
    variable long [expr {[info exists ::env(LETO_LONG)] && $::env(LETO_LONG) ni {"" 0}}]
    variable directory ""    ;# Of the running test.
    variable root ""         ;# The temp directory of the whole run.
    variable file ""
    variable tick 0
    variable blocks 12           ;# Of ports.
    variable block_size 1000
    variable ports ""        ;# The first one of this worker's block.
    variable port_given 0    ;# The last one, counted from there.
}

# test "sentence" ?-long? ?-timeout seconds? body
proc test {name args} {
    set body [lindex $args end]
    set timeout 30
    set long 0
    for {set i 0} {$i < [llength $args] - 1} {incr i} {
        switch -- [lindex $args $i] {
            -long { set long 1 }
            -timeout { set timeout [lindex $args [incr i]] }
            default { error "test \"$name\": unknown option [lindex $args $i]" }
        }
    }
    incr harness::number
    if {$harness::number < $harness::first || ![string match $harness::wanted $name]} return
    if {$harness::listing} {
        say "$harness::file: $name[expr {$long ? { (long)} : {}}]"
        return
    }
    if {$long && !$harness::long} {
        say "@skip 0 $name"
        say "         runs only with LETO_LONG=1"
        return
    }
    say "@start $harness::number [scaled $timeout] $name"
    harness::run_test $name $body
}

proc say {text} {
    puts $text
    flush stdout
}

proc harness::run_test {name body} {
    variable number; variable directory; variable root; variable file
    set stem [string map {/ - .tcl ""} $file]
    set directory [file join $root "$stem-$number"]
    ::file mkdir $directory
    set process::scratch $directory
    set process::runs_made 0
    sanitizer::report_into $directory
    set started [clock milliseconds]
    set code [catch {uplevel #0 [list apply [list {} $body]]; check_nodes_in_order; end_for_sanitizer} message options]
    set seconds [format %.2f [expr {([clock milliseconds] - $started) / 1000.0}]]
    if {[catch {check_no_report} found found_options]} {
        set message [expr {$code ? "$message\n$found" : $found}]
        set code 1
        set options $found_options
    }
    set skipped [expr {$code && [dict get $options -errorcode] eq "SKIP"}]
    if {$skipped} {
        say "@skip $seconds $name"
        say "         $message"
    } elseif {$code == 0} {
        say "@ok $seconds $name"
    } else {
        say "@fail $seconds $name"
        print_failure $message $options
    }
    resp::close_all
    process::end_all
    process::forget_all
    node::forget_all
    if {($code == 0 || $skipped) && ![info exists ::env(LETO_KEEP)]} { ::file delete -force $directory }
}

# Fails, with all that they say, if a sanitizer found something in a process of this test.
proc check_no_report {} {
    set found [sanitizer::reports $harness::directory]
    if {![llength $found]} return
    error "a sanitizer's report ([join $found ", "]):\n[join [lmap path $found { string trim [read_file $path] }] \n]"
}

proc harness::print_failure {message options} {
    variable directory
    foreach line [split $message \n] { say "         $line" }
    foreach line [lrange [split [dict get $options -errorinfo] \n] 1 end] {
        if {[regexp {^\s*(?:invoked from within|while executing)} $line]} continue
        if {[regexp {\(.* line \d+\)} $line]} { say "           $line" }
    }
    foreach text [node::logs_to_show] { foreach line [split $text \n] { say "         | $line" } }
    say "         kept: $directory"
}

proc skip {reason} { return -code error -errorcode SKIP $reason }

# A value that the test prints whether it passes or not (a measurement, a seed).
proc note {text} { say "         $text" }

proc assert {condition {what ""}} {
    if {![uplevel 1 [list expr $condition]]} {
        error "not so: $condition[expr {$what eq {} ? {} : " ($what)"}]"
    }
}

proc assert_equal {got expected {what ""}} {
    if {$got ne $expected} {
        error "[expr {$what eq {} ? {} : "$what: "}]expected [printable $expected], got [printable [string range $got 0 2000]]"
    }
}

proc assert_match {got pattern {what ""}} {
    if {![string match $pattern $got]} {
        error "[expr {$what eq {} ? {} : "$what: "}]expected a match of [printable $pattern], got [printable [string range $got 0 2000]]"
    }
}

# Lets `milliseconds` pass while sockets and processes are looked after. For polling and for building an
# interval that is itself the subject of a test; never to "give something time".
proc pause {milliseconds} {
    set id [incr harness::tick]
    after $milliseconds [list set harness::tick_$id 1]
    vwait harness::tick_$id
    unset harness::tick_$id
}

# Evaluates the condition (an expression) in the caller until it holds, and returns the milliseconds it took.
# An error in it counts as "not yet", and the last one is told when the time is over; but the end of a node
# that is waited for (errorcode ENDED) is an error at once.
proc wait_for_condition {what timeout_ms condition} {
    set timeout_ms [scaled $timeout_ms]
    set started [clock milliseconds]
    set last ""
    while 1 {
        if {[catch {uplevel 1 [list expr $condition]} holds options]} {
            if {[dict get $options -errorcode] eq "ENDED"} { error $holds }
            set last " (last error: $holds)"
        } elseif {$holds} {
            return [expr {[clock milliseconds] - $started}]
        }
        if {[clock milliseconds] - $started > $timeout_ms} {
            error "not within $timeout_ms ms: $what$last"
        }
        pause 10
    }
}

# {milliseconds result} of a script run in the caller.
proc timed {script} {
    set started [clock milliseconds]
    set result [uplevel 1 $script]
    return [list [expr {[clock milliseconds] - $started}] $result]
}

# A port that nobody listens on. Of a block of ports that is this worker's alone for as long as it lives, and below those that the
# system gives to connections (from 32768 on, as a rule): a node that is down finds its port free when it is started again.
proc free_port {} {
    if {$harness::ports eq ""} { set harness::ports [block_of_ports] }
    for {set tried 1} {$tried < $harness::block_size} {incr tried} {
        set harness::port_given [expr {$harness::port_given % ($harness::block_size - 1) + 1}]
        set port [expr {$harness::ports + $harness::port_given}]
        if {[catch {listen_on $port} channel]} continue
        chan close $channel
        return $port
    }
    error "no port is free from $harness::ports on"
}

proc listen_on {port} { socket -server {apply {args {}}} -myaddr 127.0.0.1 $port }

# The first port of a block that no other worker or program of the tests has (tests/chaos/stream.cc does the same): who listens
# on that port has the block.
proc block_of_ports {} {
    for {set tried 0} {$tried < $harness::blocks} {incr tried} {
        set first [expr {20000 + $harness::block_size * (([pid] + $tried) % $harness::blocks)}]
        if {![catch {listen_on $first}]} { return $first }
    }
    error "no block of ports is free; how many tests run here?"
}

# True if something accepts connections there.
proc port_open {port {host 127.0.0.1}} {
    if {[catch {socket $host $port} channel]} { return 0 }
    chan close $channel
    return 1
}

# The permission bits of a file, as three octal digits.
proc mode_of {path} {
    scan [file attributes $path -permissions] %o mode
    return [format %03o [expr {$mode & 0x1ff}]]
}
