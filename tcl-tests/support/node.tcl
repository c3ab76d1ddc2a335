# Nodes of Leto, as processes: start, ask, stop, kill, restart with the same command, and clusters of them.
# What is read of a node is what is documented: its options, its replies, the fields of INFO.
#
# A node is a name ("n1"); a node started by a test answers PING when start_node returns.

namespace eval node {
    variable count 0
    variable binary [expr {[info exists ::env(LETO_BIN)] ? [file normalize $::env(LETO_BIN)]
        : [file normalize [file join [file dirname [info script]] .. .. bin leto]]}]
    variable launcher {}    ;# What stands before the binary; see bad_disk.tcl.
    variable port; variable raft_port; variable id; variable dir
    variable command; variable pid; variable control
    variable expected_end   ;# True once the test itself ended the node.
}

# start_node ?-id id? ?-join node-or-address? ?-options {-x v ...}? ?-dir d? ?-port p? ?-raftport p? ?-host h? ?-nowait?
# Starts a node in a directory of its own; returns its name. It listens on loopback unless -host says otherwise.
proc start_node {args} {
    array set given {-id "" -join "" -options {} -dir "" -port "" -raftport "" -host 127.0.0.1 -nowait 0}
    set at [lsearch -exact $args -nowait]
    if {$at >= 0} {
        set args [lreplace $args $at $at]
        set given(-nowait) 1
    }
    array set given $args
    set name [new_node $given(-id) $given(-dir) $given(-port) $given(-raftport)]
    set words [list $node::binary -id $node::id($name) -raftdir $node::dir($name) \
        -listen "$given(-host):$node::port($name)" -raftbind "127.0.0.1:$node::raft_port($name)"]
    if {$given(-join) ne ""} {
        if {[info exists node::port($given(-join))]} { set given(-join) "127.0.0.1:$node::port($given(-join))" }
        lappend words -join $given(-join)
    }
    set node::command($name) [concat $words [sanitizer::options_beside $given(-options)] $given(-options)]
    launch $name
    if {!$given(-nowait)} { wait_serving $name }
    return $name
}

proc new_node {id dir port raft_port} {
    set name "n[incr node::count]"
    set node::id($name) [expr {$id eq "" ? $name : $id}]
    set node::dir($name) [expr {$dir eq "" ? [file join $harness::directory $name] : $dir}]
    set node::port($name) [expr {$port eq "" ? [free_port] : $port}]
    set node::raft_port($name) [expr {$raft_port eq "" ? [free_port] : $raft_port}]
    set node::control($name) ""
    return $name
}

# Starts the process of the node with its command.
proc launch {name} {
    if {![file executable $node::binary]} { error "$node::binary is not there; build it with make" }
    set node::expected_end($name) 0
    set base [file join $harness::directory $name]
    set node::pid($name) [process::start [concat $node::launcher $node::command($name)] $harness::directory $base.log $base.err]
}

# Until the node answers PING with PONG, whether it knows a leader or not.
proc wait_serving {name {timeout_ms 10000}} {
    wait_for_condition "node $name answers PING" $timeout_ms {[node_serves $name]}
}

proc node_serves {name} {
    if {![process::runs $node::pid($name)]} {
        return -code error -errorcode ENDED "node $name ended ($process::status($node::pid($name))): [last_words $name]"
    }
    return [expr {[node_ask $name PING] eq "PONG"}]
}

# A new connection to the node, authenticated if the node was given a password.
proc connect {name} {
    set connection [resp::open $node::port($name)]
    set at [lsearch -regexp $node::command($name) {^--?requirepass$}]
    if {$at >= 0} { call $connection AUTH [lindex $node::command($name) $at+1] }
    return $connection
}

# Asks over the node's own connection, which is opened when needed.
proc node_ask {name args} {
    if {$node::control($name) eq ""} { set node::control($name) [connect $name] }
    if {[catch {ask $node::control($name) {*}$args} answer options]} {
        resp::close $node::control($name)
        set node::control($name) ""
        return -options $options $answer
    }
    return $answer
}

# The fields of INFO (one section, or the default ones) as a dict.
proc info_of {name {section raft}} {
    set fields {}
    foreach line [split [node_ask $name INFO $section] \n] {
        if {[regexp {^([^#:][^:]*):(.*?)\r?$} $line -> field value]} { dict set fields $field $value }
    }
    return $fields
}

proc raft_field {name field} { return [dict get [info_of $name raft] $field] }

proc runs {name} { return [process::runs $node::pid($name)] }

# The node that leads the highest term among those that answer, once one does and a majority of `names`
# agrees on the term.
proc leader_of {names {timeout_ms 10000}} {
    wait_for_condition "one of {$names} leads" $timeout_ms {[set found [leader_now $names]] ne ""}
    return $found
}

proc leader_now {names} {
    set leader ""
    set leader_term -1
    set terms {}
    foreach name $names {
        if {![runs $name] || [catch {info_of $name raft} fields]} continue
        lappend terms [dict get $fields term]
        if {[dict get $fields role] eq "leader" && [dict get $fields term] > $leader_term} {
            set leader $name
            set leader_term [dict get $fields term]
        }
    }
    set agreeing [llength [lsearch -all -exact $terms $leader_term]]
    return [expr {$agreeing * 2 > [llength $names] ? $leader : ""}]
}

proc others {names name} { return [lsearch -all -inline -exact -not $names $name] }

proc followers_of {names} { return [others $names [leader_of $names]] }

# Ends the nodes at once, as a power switch would end the processes; returns when they are gone.
proc kill9 {args} {
    foreach name $args { set node::expected_end($name) 1 }
    process::signal KILL {*}[lmap name $args { set node::pid($name) }]
    foreach name $args {
        process::wait_end $node::pid($name) 10000
        drop_control $name
    }
}

proc drop_control {name} {
    resp::close $node::control($name)
    set node::control($name) ""
}

# Ends the node by a signal and returns {status milliseconds}.
proc stop {name {signal TERM} {timeout_ms 15000}} {
    set node::expected_end($name) 1
    set started [clock milliseconds]
    process::signal $signal $node::pid($name)
    set status [process::wait_end $node::pid($name) $timeout_ms]
    drop_control $name
    return [list $status [expr {$process::ended_ms($node::pid($name)) - $started}]]
}

# Starts the node again with the command it was started with.
proc restart {name args} {
    launch $name
    if {"-nowait" ni $args} { wait_serving $name }
}

# n nodes that are one cluster: all joined, all following. `options` go to each. Returns their names, leader first.
proc start_cluster {size {options {}}} {
    set names [list [start_node -options $options]]
    for {set i 1} {$i < $size} {incr i} {
        lappend names [start_node -join [lindex $names 0] -options $options -nowait]
    }
    foreach name $names { wait_serving $name }
    leader_of $names
    wait_members $names
    return $names
}

# Until the nodes, and no others, are the voters of one cluster, all following its leader, and have applied its log.
proc wait_members {names {timeout_ms 15000}} {
    wait_for_condition "{$names} are one cluster" $timeout_ms {[all_follow $names]}
    # Also while writes go on, when the end of the log never stands still.
    set last [raft_field [leader_of $names] last_index]
    wait_for_condition "{$names} have applied entry $last" $timeout_ms {[all_applied $names $last]}
}

proc all_applied {names index} {
    foreach name $names { if {[raft_field $name applied_index] < $index} { return 0 } }
    return 1
}

proc all_follow {names} {
    set leader [leader_now $names]
    if {$leader eq ""} { return 0 }
    set ids [lsort [lmap name $names { set node::id($name) }]]
    foreach name $names { if {[voters_of $name] ne $ids} { return 0 } }
    foreach name [others $names $leader] {
        set fields [info_of $name raft]
        if {[dict get $fields role] ne "follower" || [dict get $fields leader] ne $node::id($leader)} { return 0 }
    }
    return 1
}

# The ids of the cluster's members, sorted, as this node knows them; empty while one of them is no voter yet.
proc voters_of {name} {
    set ids {}
    dict for {field value} [info_of $name raft] {
        if {![regexp {^member\d+$} $field]} continue
        if {![regexp {^id=([^,]*),role=voter,} $value -> id]} { return {} }
        lappend ids $id
    }
    return [lsort $ids]
}

# Until every node has applied what its leader has, and the leader has applied its whole log.
proc wait_caught_up {names {timeout_ms 15000}} {
    wait_for_condition "{$names} have applied the same log" $timeout_ms {[same_applied $names]}
}

proc same_applied {names} {
    set fields [info_of [leader_now $names] raft]
    set last [dict get $fields last_index]
    if {[dict get $fields applied_index] != $last} { return 0 }
    foreach name $names { if {[raft_field $name applied_index] != $last} { return 0 } }
    return 1
}

# Digest and index of a node at one moment: {applied_index digest}.
proc digest_of {name} {
    while 1 {
        set before [raft_field $name applied_index]
        set digest [call_node $name DEBUG DIGEST]
        if {[raft_field $name applied_index] == $before} { return [list $before $digest] }
    }
}

proc call_node {name args} {
    set answer [node_ask $name {*}$args]
    if {[string match -* $answer]} { error "node $name: [lrange $args 0 2]: $answer" }
    return $answer
}

# Applied index and digest of all nodes, asked side by side: DEBUG DIGEST of very many keys holds up the loop for so long that
# another node leads, and applies an entry more. What changed meanwhile is "{before after} digest".
proc digests_of {names} {
    foreach name $names {
        node_ask $name PING
        foreach request {{INFO raft} {DEBUG DIGEST} {INFO raft}} { resp::send $node::control($name) {*}$request }
    }
    return [lmap name $names {
        lassign [lmap i {1 2 3} { resp::text [resp::reply $node::control($name)] }] before digest after
        set indices [lmap text [list $before $after] { regexp -inline {applied_index:\d+} $text }]
        list [lsort -unique $indices] $digest
    }]
}

# Fails unless all nodes are at the same applied index with the same digest.
proc assert_same_digest {names} {
    for {set round 1} {$round <= 5} {incr round} {
        wait_caught_up $names
        set seen [digests_of $names]
        if {[llength [lsort -unique [concat {*}[lmap each $seen { lindex $each 0 }]]]] == 1} break
    }
    foreach name $names each $seen { assert_equal $each [lindex $seen 0] "applied index and digest of $name" }
    return [lindex $seen 0]
}

proc log_of {name} { return [read_file [file join $harness::directory $name.log]] }
proc errors_of {name} { return [read_file [file join $harness::directory $name.err]] }

proc last_words {name} {
    set text [string trim [errors_of $name]]
    return [expr {$text eq "" ? [lindex [split [string trim [log_of $name]] \n] end] : $text}]
}

# Until the node's log, from byte `from` on, matches the regular expression.
proc wait_log {name expression {timeout_ms 10000} {from 0}} {
    wait_for_condition "the log of $name says $expression" $timeout_ms \
        {[regexp -line -- $expression [string range [log_of $name] $from end]]}
}

# What every test asks of every node when it is through: none ended by itself, none complained of itself.
proc check_nodes_in_order {} {
    foreach name [lsort -dictionary [array names node::pid]] {
        set status $process::status($node::pid($name))
        if {$status ne "" && !$node::expected_end($name)} { error "node $name ended by itself: $status: [last_words $name]" }
        set words "[errors_of $name]\n[log_of $name]"
        if {[regexp -nocase {[^\n]*(assertion|AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error)[^\n]*} $words line]} {
            error "node $name: $line"
        }
    }
}

# Under a sanitizer: ends what still runs in order, since leaks are looked for at the end of a process. Whether an end takes
# too long is for the tests of ends: who has not ended is killed with the rest.
proc end_for_sanitizer {} {
    if {$sanitizer::name eq ""} return
    set running [lmap name [array names node::pid] { if {![runs $name]} continue; set name }]
    # In this order: the search for leaks stops all threads, and a CONT would take that back.
    foreach signal {CONT TERM} { foreach name $running { process::signal $signal $node::pid($name) } }
    foreach name $running {
        if {[catch {process::wait_end $node::pid($name) 5000} status]} {
            note "node $name was told to end and has not"
            continue
        }
        set node::expected_end($name) 1
        if {[string match "signal *" $status]} { error "node $name, told to end: $status: [last_words $name]" }
    }
}

proc node::logs_to_show {} {
    variable pid; variable command; variable port
    set shown {}
    foreach name [lsort -dictionary [array names pid]] {
        set status $process::status($pid($name))
        lappend shown "--- node $name, port $port($name), [expr {$status eq "" ? "running" : $status}]: [lrange $command($name) 1 end]"
        set lines [split [string trim "[::log_of $name]\n[::errors_of $name]"] \n]
        lappend shown [join [lrange $lines end-30 end] \n]
    }
    return $shown
}

proc node::forget_all {} {
    variable port; variable raft_port; variable id; variable dir
    variable command; variable pid; variable control; variable expected_end; variable count; variable launcher
    foreach name {port raft_port id dir command pid control expected_end} { array unset $name }
    set count 0
    set launcher {}
}
