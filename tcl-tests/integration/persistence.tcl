# What one node was told to keep, it keeps: through kill -9, through a stop, through SNAPSHOT.

test "kill -9 under a pipelined load, again and again: every acknowledged write is there" -timeout 60 {
    set node [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
    set load [start_load $node -depth 64 -rate 6000]
    set rounds [expr {$harness::long ? 30 : 5}]
    for {set i 0} {$i < $rounds} {incr i} {
        wait_load_progress $load [expr {2000 + 3000 * $i % 7000}]
        kill9 $node
        restart $node
    }
    wait_load_progress $load
    set result [stop_load $load]
    note [describe_load $result]
    assert_load_kept $load $result $node
}

test "values of every size and byte come back after kill -9 and after a stop" {
    set node [start_node]
    set connection [connect $node]
    wait_for_condition "it takes writes" 5000 {[ask $connection SET a b] eq "OK"}
    set bytes ""
    for {set i 0} {$i < 256} {incr i} { append bytes [format %c $i] }
    set expected [dict create a b "" empty-key empty "" $bytes $bytes "k\r\n" "\x00"]
    foreach size {1 100 4095 4096 4097 16384 65536 300000 3000000} { dict set expected size:$size [string repeat "\x00\xffab" [expr {$size / 4 + 1}]] }
    dict for {key value} $expected { assert_equal [ask $connection SET $key $value] OK }
    call $connection INCR count
    call $connection SET gone 1
    call $connection DEL gone
    foreach how {kill stop kill} {
        if {$how eq "kill"} { kill9 $node } else { assert_equal [lindex [stop $node] 0] "exit 0" }
        restart $node
        set connection [connect $node]
        wait_for_condition "it serves reads" 5000 {[ask $connection GET a] eq "b"}
        dict for {key value} $expected { assert {[ask $connection GET $key] eq $value} "after $how: [printable [string range $key 0 20]]" }
        assert_equal [ask $connection GET count] 1
        assert_equal [ask $connection EXISTS gone] 0
    }
}

test "SNAPSHOT, a stop and a start keep keys and digest" {
    set node [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a 1] eq "OK"}
    set requests {}
    for {set i 0} {$i < 3000} {incr i} { lappend requests [list SET key:$i [string repeat $i 5]] }
    ask_all [connect $node] $requests
    set digest [call_node $node DEBUG DIGEST]
    assert_equal [node_ask $node SNAPSHOT] OK
    call_node $node SET after snapshot
    call_node $node DEL after
    kill9 $node
    restart $node
    wait_for_condition "it serves" 5000 {[node_ask $node GET key:2999] eq [string repeat 2999 5]}
    assert_equal [call_node $node DEBUG DIGEST] $digest
    assert_equal [node_ask $node SNAPSHOT] OK
    assert_equal [lindex [stop $node] 0] "exit 0"
    restart $node
    wait_for_condition "it serves" 5000 {[node_ask $node GET key:0] eq "00000"}
    assert_equal [call_node $node DEBUG DIGEST] $digest
}

# What every database has, by its own words: DBSIZE and each key asked for.
proc databases_seen {connection keys} {
    set seen {}
    for {set database 0} {$database < 16} {incr database} {
        call $connection SELECT $database
        lappend seen [call $connection DBSIZE] {*}[lmap key $keys { ask $connection GET $key }]
    }
    return $seen
}

test "databases that were flushed, swapped and renamed in are the same after kill -9 and after a stop" {
    set node [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a 1] eq "OK"}
    set connection [connect $node]
    set keys {a b c d large moved}
    foreach database {0 1 7 15} {
        call $connection SELECT $database
        foreach key {a b c} { call $connection SET $key $database-$key }
        call $connection SET large [string repeat $database 150000]
    }
    assert_equal [ask $connection SNAPSHOT] OK
    # In the file are chunks of large values now; the rest is told to the log first.
    call $connection RENAME large moved
    call $connection SELECT 1
    call $connection RENAME large d
    assert_equal [ask $connection RENAMENX d a] 0
    call $connection RENAME d large
    call $connection SWAPDB 1 7
    call $connection SELECT 0
    call $connection FLUSHDB
    call $connection SET d again
    call $connection SWAPDB 0 2
    set seen [databases_seen $connection $keys]
    set digest [call_node $node DEBUG DIGEST]
    foreach how {kill stop kill snapshot} {
        if {$how eq "kill"} { kill9 $node }
        if {$how eq "stop"} { assert_equal [lindex [stop $node] 0] "exit 0" }
        if {$how eq "snapshot"} { assert_equal [node_ask $node SNAPSHOT] OK; kill9 $node }
        restart $node
        set connection [connect $node]
        wait_for_condition "it serves" 5000 {[ask $connection DBSIZE] eq "0"}
        assert {[databases_seen $connection $keys] eq $seen} "after $how"
        assert_equal [call_node $node DEBUG DIGEST] $digest
    }
    assert_match [call_node $node INFO keyspace] "*db1:keys=4,*db2:keys=1,*db7:keys=4,*db15:keys=4,*"
    assert_equal [ask $connection FLUSHALL] OK
    assert_equal [call_node $node DEBUG DIGEST] [string repeat 0 40]
    kill9 $node
    restart $node
    wait_for_condition "it serves" 5000 {[node_ask $node DBSIZE] eq "0"}
    assert_equal [call_node $node INFO keyspace] "# Keyspace\r\n"
}

test "what a flushed database left in the keys file goes while nobody writes" {
    if {[auto_execok sqlite3] eq ""} { skip "no sqlite3" }
    set node [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a 1] eq "OK"}
    set requests {}
    for {set i 0} {$i < 2000} {incr i} { lappend requests [list SET key:$i [string repeat $i 200]] }
    ask_all [connect $node] $requests
    assert_equal [node_ask $node SNAPSHOT] OK
    assert_equal [node_ask $node FLUSHALL] OK
    set file [lindex [glob -directory $node::dir($node) keys-*.db] 0]
    wait_for_condition "the old tables are gone" 10000 {
        [exec sqlite3 -readonly $file "select count(*) from sqlite_schema where name like 'keys\\_%' escape '\\'"] eq "0"
    }
    assert_equal [node_ask $node DBSIZE] 0
}

test "after SNAPSHOT people read the keys with sqlite3 -readonly" {
    if {[auto_execok sqlite3] eq ""} { skip "no sqlite3" }
    set node [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
    call_node $node SET "key two" "value two"
    assert_equal [node_ask $node SNAPSHOT] OK
    set files [glob -nocomplain -directory $node::dir($node) keys-*.db]
    assert_equal [llength $files] 1
    set rows [exec sqlite3 -readonly [lindex $files 0] "select key, value from strings order by key"]
    assert_equal $rows "a|b\nkey two|value two"
    call_node $node SET later x
    assert_equal [node_ask $node SNAPSHOT] OK
    assert_equal [exec sqlite3 -readonly [lindex $files 0] "select count(*) from strings"] 3
}

# A file system of the test's own that can be cut off: {image mount point}. Skips where that is not possible.
proc mount_own_disk {} {
    foreach tool {losetup mkfs.ext4 perl} { if {[auto_execok $tool] eq ""} { skip "needs $tool" } }
    if {[exec id -u] ne "0"} { skip "needs root" }
    set image [file join $harness::directory disk.img]
    set mount [file join $harness::directory disk]
    exec truncate -s 256M $image
    exec mkfs.ext4 -q $image 2>@1
    file mkdir $mount
    if {[catch {exec mount -o loop $image $mount} message]} { skip "no loop mount here: $message" }
    return [list $image $mount]
}

# From now on nothing reaches the device any more, and what was not synced is lost: FS_IOC_SHUTDOWN without
# flushing the journal, as a cable that is pulled.
proc cut_off {mount} {
    exec perl -e {open(my $d, "<", $ARGV[0]) or die; my $flags = pack("L", 2); ioctl($d, 0x8004587d, $flags) or die "ioctl: $!"} $mount
}

proc all_threads_stopped {pid} {
    foreach path [glob /proc/$pid/task/*/stat] { if {![regexp {\) T } [read_file $path]]} { return 0 } }
    return 1
}

test "a node whose file system is cut off unflushed loses nothing that was acknowledged" -timeout 60 {
    lassign [mount_own_disk] image mount
    set code [catch {
        set node [start_node -dir $mount/data]
        wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
        for {set i 0} {$i < 3} {incr i} {
            set load [start_load $node]
            wait_load_progress $load 12000
            set node::expected_end($node) 1
            # Not in the middle of a fsync: what the kernel answers to one that meets the cut is its own affair.
            process::signal STOP $node::pid($node)
            wait_for_condition "all its threads stand still" 5000 {[all_threads_stopped $node::pid($node)]}
            cut_off $mount
            process::signal CONT $node::pid($node)
            wait_for_condition "the node ends by itself: its disk fails" 10000 {![runs $node]}
            set result [stop_load $load]
            note "ended with $process::status($node::pid($node)); [describe_load $result]"
            assert {$process::status($node::pid($node)) ne "exit 0"}
            exec umount $mount
            exec mount -o loop $image $mount
            drop_control $node
            restart $node
            wait_for_condition "it serves" 5000 {[node_ask $node GET a] eq "b"}
            assert_load_kept $load $result $node
        }
        kill9 $node
    } message options]
    process::end_all
    catch {exec umount -l $mount}
    return -options $options $message
}
