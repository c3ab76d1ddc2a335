# Nodes on two machines, which are network namespaces with a cable between: what they call themselves and each other.

proc needs_namespaces {} {
    if {[exec id -u] != 0} { skip "needs root" }
    if {[catch {exec ip netns add letotry[pid]}]} { skip "needs network namespaces" }
    exec ip netns del letotry[pid]
}

# Two machines, 10.88.0.1 and 10.88.0.2. Their names.
proc make_machines {} {
    set machines [list leto[pid]a leto[pid]b]
    lassign $machines a b
    foreach machine $machines {
        exec ip netns add $machine
        exec ip netns exec $machine ip link set lo up
    }
    exec ip link add leto0 netns $a type veth peer name leto0 netns $b
    foreach machine $machines host {10.88.0.1 10.88.0.2} {
        exec ip netns exec $machine ip addr add $host/24 dev leto0
        exec ip netns exec $machine ip link set leto0 up
    }
    return $machines
}

proc give_address {machine old new} {
    exec ip netns exec $machine ip addr del $old/24 dev leto0
    exec ip netns exec $machine ip addr add $new/24 dev leto0
}

# Starts a node there, with a password unless -no-password is said, which listens on every interface. The tests' own connections cannot reach it: use ask_at.
proc start_at {machine id port args} {
    set name [new_node $id "" $port [expr {$port + 10000}]]
    set node::command($name) [list ip netns exec $machine $node::binary -id $id -raftdir $node::dir($name) \
        -listen :$port -raftbind :$node::raft_port($name) {*}$args]
    if {"-no-password" in $args} {
        set node::command($name) [lsearch -all -inline -exact -not $node::command($name) -no-password]
    } else {
        lappend node::command($name) -requirepass secret
    }
    launch $name
    return $name
}

# What a client on the machine gets that sends these bytes to an address and reads until the other side closes; empty if it
# cannot connect.
proc exchange {machine host port bytes} {
    set script [string map [list HOST $host PORT $port BYTES [list $bytes]] {
        set node [socket HOST PORT]
        chan configure $node -translation binary
        puts -nonewline $node BYTES
        flush $node
        puts [read $node]
    }]
    if {[catch {exec ip netns exec $machine [info nameofexecutable] << $script} answer]} { return "" }
    return [string map {\r ""} $answer]
}

# The replies of the node at `port` of the machine to AUTH, one request and QUIT; empty while it does not answer.
proc ask_at {machine port args} { return [exchange $machine 127.0.0.1 $port "AUTH secret\r\n[join $args]\r\nQUIT\r\n"] }

# The reply to the request alone.
proc reply_at {machine port args} {
    set lines [split [string trim [ask_at $machine $port {*}$args]] \n]
    return [join [lrange $lines 1 end-1] \n]
}

# Every member's addresses in the eyes of the node at `port`, as "id raft client", sorted.
proc addresses_at {machine port} {
    set found {}
    foreach line [split [ask_at $machine $port INFO raft] \n] {
        if {[regexp {^member\d+:id=([^,]*),role=voter,raft=([^,]*),client=([^,]*),} $line -> id raft client]} {
            lappend found "$id $raft $client"
        }
    }
    return [lsort $found]
}

# A cluster of id1 on machine a and id2 on b, both at port 5379. Returns what addresses_at says once both know it, and the name
# of id2's node.
proc found_on_both {a b} {
    start_at $a id1 5379
    set second [start_at $b id2 5379 -join 10.88.0.1:5379]
    set expected [list "id1 10.88.0.1:15379 10.88.0.1:5379" "id2 10.88.0.2:15379 10.88.0.2:5379"]
    wait_for_condition "both are there" 10000 {[addresses_at $b 5379] eq $expected}
    return [list $expected $second]
}

proc with_machines {script} {
    needs_namespaces
    set machines [make_machines]
    set code [catch {uplevel 1 [list apply $script {*}$machines]} message options]
    foreach name [array names node::pid] { set node::expected_end($name) 1 }
    process::end_all
    foreach machine $machines { catch {exec ip netns del $machine} }
    return -options $options $message
}

test "nodes that began on one machine are known by its real address once a node of another machine is there" -timeout 60 {
    with_machines {{a b} {
        foreach {id port} {id1 5379 id2 6379} {
            set join [expr {$id eq "id1" ? {} : {-join 127.0.0.1:5379}}]
            start_at $a $id $port {*}$join
            wait_for_condition "$id is there" 10000 {[string match "*$id 127.0.0.1:*" [addresses_at $a 5379]]}
        }
        start_at $b id3 5379 -join 10.88.0.1:5379
        set expected [list "id1 10.88.0.1:15379 10.88.0.1:5379" "id2 10.88.0.1:16379 10.88.0.1:6379" \
            "id3 10.88.0.2:15379 10.88.0.2:5379"]
        foreach {machine port} [list $a 5379 $a 6379 $b 5379] {
            wait_for_condition "all are known at $port" 10000 {[addresses_at $machine $port] eq $expected}
        }
        wait_for_condition "it is one cluster" 5000 {[string match "*OK*OK*OK*" [ask_at $a 5379 SET k v]]}
        assert_match [ask_at $b 5379 GET k] "*v*"
    }}
}

test "a node whose machine got another address is known by it when it is started again" -timeout 60 {
    with_machines {{a b} {
        # The founder's own move from loopback too: who has not heard of it and moves away finds nobody, and nobody finds it.
        lassign [found_on_both $a $b] expected moved
        stop $moved
        give_address $b 10.88.0.2 10.88.0.22
        launch $moved
        set expected [list "id1 10.88.0.1:15379 10.88.0.1:5379" "id2 10.88.0.22:15379 10.88.0.22:5379"]
        foreach machine [list $a $b] {
            wait_for_condition "it is known" 10000 {[addresses_at $machine 5379] eq $expected}
        }
        # Whoever leads by now.
        wait_for_condition "writes go on" 5000 {[string match "*OK*OK*OK*" [ask_at $a 5379 SET k v]] ||
            [string match "*OK*OK*OK*" [ask_at $b 5379 SET k v]]}
    }}
}

test "a founder of another machine that is taken in by hand is known by the addresses where it was reached" -timeout 60 {
    with_machines {{a b} {
        start_at $a id1 5379
        start_at $b id2 5379
        wait_for_condition "it takes writes" 5000 {[string match "*OK*OK*OK*" [ask_at $a 5379 SET k v]]}
        wait_for_condition "it is taken in" 10000 {[string match "*OK*OK*OK*" [ask_at $a 5379 JOIN 10.88.0.2:15379 id2]]}
        set expected [list "id1 10.88.0.1:15379 10.88.0.1:5379" "id2 10.88.0.2:15379 10.88.0.2:5379"]
        foreach machine [list $a $b] {
            wait_for_condition "both are known" 10000 {[addresses_at $machine 5379] eq $expected}
        }
    }}
}

test "a node that joins by the loopback address of a neighbour is known by a real one, whoever leads" -timeout 60 {
    with_machines {{a b} {
        lassign [found_on_both $a $b] expected
        # The leader is on the other machine, then on this one.
        foreach {leader id port} {id1 id3 6379 id2 id4 7379} {
            if {$leader ne "id1"} {
                wait_for_condition "$leader leads" 5000 {[string match "*OK*OK*OK*" [ask_at $a 5379 TRANSFER $leader]]}
            }
            start_at $b $id $port -join 127.0.0.1:5379
            lappend expected "$id 10.88.0.2:[expr {$port + 10000}] 10.88.0.2:$port"
            foreach {machine port} [list $a 5379 $b 5379 $b $port] {
                wait_for_condition "$id is known at $machine $port" 10000 {[addresses_at $machine $port] eq $expected}
            }
        }
    }}
}

test "a JOIN of a loopback address is one of the machine where it is said" -timeout 60 {
    with_machines {{a b} {
        lassign [found_on_both $a $b] expected
        start_at $b id3 6379
        wait_for_condition "it leads itself" 5000 {[string match "*role:leader*" [ask_at $b 6379 INFO raft]]}
        wait_for_condition "it is taken in" 10000 {[string match "*OK*OK*OK*" [ask_at $b 5379 JOIN 127.0.0.1:16379 id3]]}
        lappend expected "id3 10.88.0.2:16379 10.88.0.2:6379"
        foreach machine [list $a $b] {
            wait_for_condition "it is known" 10000 {[addresses_at $machine 5379] eq $expected}
        }
    }}
}

test "an option that names a loopback address is warned of once a node of another machine is there" -timeout 60 {
    with_machines {{a b} {
        start_at $a id1 5379
        set only_here [start_at $b id2 5379 -join 10.88.0.1:5379 -client-advertise 127.0.0.1:5379]
        wait_log $only_here "a member on another machine, 10.88.0.1, .* a loopback address cannot be reached from there"
    }}
}

test "without a password a node of another machine is refused, with a sentence that says what to do" -timeout 60 {
    with_machines {{a b} {
        set first [start_at $a id1 5379 -no-password]
        wait_log $first "Ready to accept"
        set stranger [start_at $b id2 5379 -no-password -join 10.88.0.1:5379]
        wait_log $stranger "requirepass"
    }}
}

# A GET's reply.
proc bulk {value} { return "\$[string length $value]\n$value" }

# Of the places, each a machine and a port, the one whose node takes a write of `value`; empty if none does.
proc takes_write {places value} {
    foreach place $places { if {[reply_at {*}$place SET a $value] eq "+OK"} { return $place } }
    return ""
}

# Every place shows the value, and all but the leader's refuse a write.
proc assert_seen_everywhere {places leader value} {
    foreach place $places {
        assert_equal [reply_at {*}$place GET a] [bulk $value] "GET at $place"
        if {$place ne $leader} { assert_equal [reply_at {*}$place SET a no] "-not leader" "SET at $place" }
    }
}

# Ends the node, which is at the first place, in order, and has a write taken by one of the others; then `meanwhile` is run, and the
# node started again: it follows, and has what was written.
proc stop_and_come_back {name places value meanwhile} {
    assert_equal [lindex [stop $name] 0] "exit 0"
    wait_for_condition "one of the others takes writes" 10000 {[set leader [takes_write [lrange $places 1 end] $value]] ne ""}
    uplevel 1 $meanwhile
    launch $name
    wait_for_condition "it is back, with what was written" 10000 {[reply_at {*}[lindex $places 0] GET a] eq [bulk $value]}
    assert_seen_everywhere $places $leader $value
}

# Until the node id1 at the place leads and takes a write of `value`.
proc lead_again {place value} {
    wait_for_condition "id1 leads again" 10000 {[reply_at {*}$place TRANSFER id1] ne "" && [takes_write [list $place] $value] ne ""}
}

test "the walk-through on two machines: a write, refusals at followers, the first node's end and way back, also to another address" -timeout 90 {
    with_machines {{a b} {
        # Who leads is not to change by itself, also where the machine is busy.
        set patience {-election-timeout 1000}
        set first [start_at $a id1 5379 {*}$patience]
        start_at $b id2 5379 -join 10.88.0.1:5379 {*}$patience
        start_at $b id3 6379 -join 10.88.0.1:5379 {*}$patience
        set expected [list "id1 10.88.0.1:15379 10.88.0.1:5379" "id2 10.88.0.2:15379 10.88.0.2:5379" "id3 10.88.0.2:16379 10.88.0.2:6379"]
        set places [list [list $a 5379] [list $b 5379] [list $b 6379]]
        set home [lindex $places 0]
        foreach place $places { wait_for_condition "all are known at $place" 10000 {[addresses_at {*}$place] eq $expected} }
        assert_equal [takes_write $places b] $home
        assert_seen_everywhere $places $home b
        stop_and_come_back $first $places c {}
        lead_again $home d
        stop_and_come_back $first $places e { give_address $a 10.88.0.1 10.88.0.11 }
        lset expected 0 "id1 10.88.0.11:15379 10.88.0.11:5379"
        foreach place $places { wait_for_condition "it is known at $place" 10000 {[addresses_at {*}$place] eq $expected} }
        lead_again $home f
        assert_seen_everywhere $places $home f
    }}
}

test "without a password a client of another machine is refused, with a sentence that says what to do; it helps" -timeout 60 {
    with_machines {{a b} {
        start_at $a id1 5379 -no-password
        wait_for_condition "its own machine is served" 10000 {[reply_at $a 5379 SET a b] eq "+OK"}
        # It sends nothing: a connection that is closed with bytes unread may lose what was said.
        assert_match [exchange $b 10.88.0.1 5379 ""] "-DENIED *protected mode*no password is set*set requirepass*`protected-mode no`*"
        assert_equal [reply_at $a 5379 CONFIG SET requirepass secret] +OK
        assert_match [exchange $b 10.88.0.1 5379 "GET a\r\nAUTH secret\r\nGET a\r\nQUIT\r\n"] "-NOAUTH *\n+OK\n[bulk b]\n+OK*"
    }}
}
