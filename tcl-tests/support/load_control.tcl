# Starts and stops load.tcl, and checks afterwards that what it was told is what the nodes hold.

namespace eval load {
    variable count 0
    variable channel; variable out; variable prefix; variable change 0
}

# Starts a load on the nodes; returns its name. -depth: requests in flight; -rate: requests a second at most.
proc start_load {names args} {
    array set given {-depth 16 -rate 4000}
    array set given $args
    set load "load[incr load::count]"
    set load::out($load) [file join $harness::directory $load.out]
    set load::prefix($load) $load
    set targets [lmap name $names { set _ "127.0.0.1:$node::port($name)" }]
    set load::channel($load) [open [list | [info nameofexecutable] $load::script \
        $load::out($load) $load $given(-depth) $given(-rate) {*}$targets 2>@stderr] r+]
    process::remember [pid $load::channel($load)]
    return $load
}
set load::script [file join [file dirname [file normalize [info script]]] load.tcl]

# Stops the load, waits for its end and returns a dict: acknowledged refused unknown (lists of numbers),
# increments_acknowledged increments_unknown increments_refused (counts), sent, outages (ms), longest_us, complaints.
proc stop_load {load {timeout_ms 20000}} {
    set channel $load::channel($load)
    puts $channel stop
    flush $channel
    chan configure $channel -blocking 0
    chan event $channel readable [list apply {{channel} {
        read $channel
        if {[eof $channel]} { chan event $channel readable {}; incr load::change }
    }} $channel]
    set timer [after $timeout_ms {incr load::change}]
    vwait load::change
    after cancel $timer
    catch {chan close $channel}
    set result [read_load $load]
    if {![dict exists $result sent]} { error "the load did not end within $timeout_ms ms" }
    return $result
}

proc read_load {load} {
    set acknowledged {}; set refused {}; set unknown {}; set outages {}; set complaints {}
    set increments(ai) 0; set increments(ui) 0; set increments(ri) 0
    set result {}
    foreach line [split [read_file $load::out($load)] \n] {
        set number [lindex [split $line] 1]
        switch -- [lindex [split $line] 0] {
            a { lappend acknowledged $number }
            r { lappend refused $number }
            u { lappend unknown $number }
            ai - ui - ri { incr increments([lindex [split $line] 0]) }
            t { lappend outages $number }
            ! { lappend complaints $line }
            longest { dict set result longest_us $number }
            end { dict set result sent $number }
        }
    }
    return [dict merge $result [list acknowledged $acknowledged refused $refused unknown $unknown outages $outages \
        complaints $complaints increments_acknowledged $increments(ai) increments_unknown $increments(ui) \
        increments_refused $increments(ri)]]
}

# How many requests the load was acknowledged so far, by the size of its record (cheap, never exact).
proc load_progress {load} { return [expr {[file exists $load::out($load)] ? [file size $load::out($load)] : 0}] }

# Until the load wrote down at least `bytes` more than at `from`.
proc wait_load_progress {load {bytes 4000} {timeout_ms 15000}} {
    set from [load_progress $load]
    return [wait_for_condition "$load goes on" $timeout_ms {[load_progress $load] > $from + $bytes}]
}

proc describe_load {result} {
    return "[dict get $result sent] writes sent, [llength [dict get $result acknowledged]] SETs acknowledged,\
        [llength [dict get $result unknown]] unknown, [llength [dict get $result refused]] refused"
}

# Of a result: the outcome of every write was told.
proc assert_nothing_unknown {result} {
    assert_equal [dict get $result unknown] {} "SETs whose outcome is unknown"
    assert_equal [dict get $result increments_unknown] 0 "INCRs whose outcome is unknown"
}

# Of a result: every write was acknowledged.
proc assert_nothing_refused_or_unknown {result} {
    assert_nothing_unknown $result
    assert_equal [dict get $result refused] {} "SETs that were refused"
    assert_equal [dict get $result increments_refused] 0 "INCRs that were refused"
}

# Every acknowledged SET is on every node with its value; refused ones nowhere; the counter between the
# acknowledged increments and those plus the unknown. `names` must have caught up.
proc assert_load_kept {load result names} {
    assert_equal [dict get $result complaints] {} "errors that no load may see"
    foreach name $names {
        set connection [connect $name]
        foreach {kind expected} {acknowledged kept refused absent unknown either} {
            check_numbers $connection $load [dict get $result $kind] $expected "$name, $kind"
        }
        set value [ask $connection GET $load:count]
        set least [dict get $result increments_acknowledged]
        set most [expr {$least + [dict get $result increments_unknown]}]
        if {$value eq "(nil)"} { set value 0 }
        assert {$value >= $least && $value <= $most} "$name: counter $value, acknowledged $least, with unknown $most"
        resp::close $connection
    }
}

# Ends the load: all that it was told is so on all nodes, which are one cluster, and the nodes are equal.
proc assert_all_kept {load nodes} {
    set result [stop_load $load]
    wait_members $nodes
    note "[describe_load $result]; pauses over 100 ms: [dict get $result outages]"
    assert_same_digest $nodes
    assert_load_kept $load $result $nodes
}

proc check_numbers {connection load numbers expected what} {
    for {set at 0} {$at < [llength $numbers]} {incr at 1000} {
        set part [lrange $numbers $at $at+999]
        set values [ask_all $connection [lmap number $part { list GET $load:$number }]]
        foreach number $part value $values {
            if {$value eq $number && $expected ne "absent"} continue
            if {$value eq "(nil)" && $expected ne "kept"} continue
            error "$what: $load:$number is [printable $value], expected $expected"
        }
    }
}
