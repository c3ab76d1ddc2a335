# A disk that fails, is full or stands still under one node: a write or sync that fails ends it with status 70 and one sentence,
# whether it runs, starts or is recovered; on a disk that is sound again it starts, and all that was acknowledged is there. One
# that is full ends no running node: what was refused did not happen, and with room everything goes on.

proc numbered {prefix count request} {
    set requests {}
    for {set i 1} {$i <= $count} {incr i} { lappend requests [string map [list %key $prefix:$i %value $i] $request] }
    return $requests
}

proc write_keys {node prefix count} {
    assert_equal [lsort -unique [ask_all [connect $node] [numbered $prefix $count {SET %key %value}]]] OK
}

proc assert_keys {node prefix count} {
    wait_for_condition "$node has loaded its keys" 10000 {[node_ask $node EXISTS $prefix:1] eq "1"}
    assert_equal [ask_all [connect $node] [numbered $prefix $count {GET %key}]] [numbered $prefix $count %value]
}

# A node with a hundred keys, that takes writes.
proc start_with_keys {{options {}}} {
    bad_disk::prepare
    set node [start_node -options $options]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET first write] eq "OK"}
    write_keys $node kept 100
    return $node
}

# What the disk would have to hold is not answered: the connection ends.
proc assert_no_answer {connection} {
    if {![catch {resp::reply $connection} answer]} { error "answered: $answer" }
    assert_match $answer "connection closed*"
}

# Starts the node on its bad disk twice: the second start must find no comfort in what the first one left in the cache.
proc assert_starts_end {node pattern} {
    foreach time {first second} {
        restart $node -nowait
        wait_disk_end $node $pattern
    }
}

test "a write or sync of the log that fails ends a running node with 70; all it acknowledged is there on a sound disk" {
    set node [start_with_keys]
    foreach {bad code} {{sync fails raft.db-wal} 1034 {write fails raft.db-wal} 778} {
        bad_disk $node $bad
        set writer [connect $node]
        resp::send $writer SET doubtful $code
        assert_no_answer $writer
        wait_disk_end $node "$node::dir($node)/raft.db: cannot write the log: disk I/O error ($code)"
        bad_disk $node
        restart $node
        assert_keys $node kept 100
        assert {[node_ask $node GET doubtful] in {1034 778 (nil)}}
        write_keys $node more 100
    }
    assert_keys $node more 100
}

test "a sync of the keys file that fails ends a running node with 70; a write that fails does not, and is made again" {
    set node [start_with_keys]
    bad_disk $node {write fails keys-1.db-wal}
    assert_match [node_ask $node SNAPSHOT] "-ERR the keys file was not written: *keys-1.db: cannot flush keys: disk I/O error (778)"
    assert_equal [node_ask $node SET while writes-fail] OK
    bad_disk $node {sync fails keys-1.db-wal}
    set asker [connect $node]
    resp::send $asker SNAPSHOT
    assert_no_answer $asker
    wait_disk_end $node "$node::dir($node)/keys-1.db: cannot flush keys: disk I/O error (1034)"
    bad_disk $node
    restart $node
    assert_keys $node kept 100
    assert_equal [node_ask $node GET while] writes-fail
    assert_equal [node_ask $node SNAPSHOT] OK
}

test "a sync that fails while a node ends in order ends it with 70, and loses nothing" {
    set node [start_with_keys]
    foreach file {raft.db keys-1.db} {
        assert_equal [node_ask $node SET before $file] OK
        bad_disk $node "sync fails $file"
        process::signal TERM $node::pid($node)
        wait_disk_end $node "$node::dir($node)/$file: cannot checkpoint it: disk I/O error (1034)"
        bad_disk $node
        restart $node
        assert_keys $node kept 100
        assert_equal [node_ask $node GET before] $file
    }
}

test "a write or sync that fails while a node starts ends it with 70, as often as it is tried; on a sound disk it starts" {
    set node [start_with_keys]
    foreach {bad pattern} {
        {sync fails raft.db-wal}   {raft.db: cannot sync its WAL: disk I/O error (1034)}
        {write fails raft.db-wal}  {raft.db: cannot write its WAL once more: disk I/O error (778)}
        {sync fails raft.db}       {raft.db: cannot checkpoint it: disk I/O error (1034)}
        {write fails raft.db}      {raft.db: cannot checkpoint it: disk I/O error (778)}
        {sync fails keys-1.db-wal} {keys-1.db: cannot sync its WAL: disk I/O error (1034)}
    } {
        kill9 $node
        bad_disk $node $bad
        assert_starts_end $node "$node::dir($node)/$pattern"
        bad_disk $node
        restart $node
        assert_keys $node kept 100
        # So that the next start finds something in both WALs, too.
        write_keys $node [join $bad -] 10
        assert_equal [node_ask $node SNAPSHOT] OK
    }
}

test "a write of the keys file that fails while a node starts refuses the start with 1: nothing is unknown then" {
    set node [start_with_keys]
    kill9 $node
    bad_disk $node {write fails keys-1.db-wal}
    restart $node -nowait
    set node::expected_end($node) 1
    assert_equal [process::wait_end $node::pid($node) 15000] "exit 1"
    assert_match [last_words $node] "*keys-1.db: cannot write its WAL once more: disk I/O error (778)"
    bad_disk $node
    restart $node
    assert_keys $node kept 100
}

test "a sync that fails while the files of a new node are made ends it with 70; a ballast that cannot be written does not" {
    bad_disk::prepare
    foreach bad {{sync fails raft.db} {sync fails raft.db-journal} {sync fails raft.db-wal} {sync fails keys-1.db}} {
        set node [start_node -nowait]
        kill9 $node
        file delete -force $node::dir($node)
        bad_disk $node $bad
        assert_starts_end $node "$node::dir($node)/[lindex [split [lindex $bad 2] -] 0]*: cannot *: disk I/O error (1034)"
        bad_disk $node {write fails ballast}
        restart $node
        wait_for_condition "it takes writes" 5000 {[node_ask $node SET key value] eq "OK"}
    }
}

test "a sync that fails under --recover ends it with 70, and it may be run again; --check writes nothing" {
    set node [start_with_keys]
    kill9 $node
    bad_disk $node {sync fails raft.db-wal} {write fails raft.db-wal} {sync fails keys-1.db-wal}
    set leto [concat $node::launcher $node::binary]
    lassign [process::run [concat $leto --check $node::dir($node)]] status out
    assert_equal $status "exit 0" $out
    foreach {bad pattern} {
        {sync fails raft.db-wal}   {raft.db: cannot sync its WAL: disk I/O error (1034)}
        {sync fails keys-1.db-wal} {keys-1.db: cannot sync its WAL: disk I/O error (1034)}
    } {
        bad_disk $node $bad
        lassign [process::run [concat $leto --recover $node::dir($node) --new-cluster]] status out err
        assert_equal $status "exit 70" $err
        assert_disk_sentence $err "$node::dir($node)/$pattern"
    }
    bad_disk $node
    lassign [process::run [concat $leto --recover $node::dir($node) --new-cluster]] status out err
    assert_equal $status "exit 0" $err
    restart $node
    assert_keys $node kept 100
}

# What befalls all files of a node's disk when that is full.
set full_disk [lmap file {raft.db-wal raft.db ballast keys-1.db-wal keys-1.db} { set _ "write full $file" }]

proc log_lines {node expression} { return [regexp -all -line -- $expression [log_of $node]] }

test "D15: on a full disk one write waits, the next are told MISCONF, reads go on; with room all goes on without a restart" {
    set node [start_with_keys]
    set full {raft\.db: the disk is full; writes wait until there is room}
    set round 0
    foreach {patience_ms answer bad} [list 30000 OK {{write full raft.db-wal}} 300 "-UNKNOWN outcome: *" $::full_disk] {
        call_node $node CONFIG SET request-timeout $patience_ms
        bad_disk $node {*}$bad
        set writer [connect $node]
        resp::send $writer SET doubtful [incr round]
        wait_for_condition "the disk is found full" 5000 {[log_lines $node $full] == $round}
        set refused "-MISCONF Leto cannot write to its log: the disk is full"
        foreach request {{SET refused 1} {DEL kept:1} {INCR kept:2} FLUSHALL} { assert_equal [node_ask $node {*}$request] $refused }
        set asker [connect $node]
        assert_equal [ask $asker MULTI] OK
        assert_equal [ask $asker SET refused 1] $refused
        assert_match [ask $asker EXEC] "-EXECABORT *"
        if {$answer ne "OK"} { assert_match [resp::text [resp::reply $writer]] $answer }
        call_node $node CONFIG SET request-timeout 30000
        assert_keys $node kept 100
        assert_equal [node_ask $node EXISTS refused] 0
        set fields [info_of $node persistence]
        assert_equal [list [dict get $fields disk_low] [dict get $fields aof_last_write_status]] {1 err}
        bad_disk $node
        if {$answer eq "OK"} { assert_equal [resp::text [resp::reply $writer]] $answer }
        wait_for_condition "writes go on" 5000 {[node_ask $node SET after full] eq "OK"}
        assert_equal [log_lines $node {raft\.db: the disk has room again}] $round
        write_keys $node more-$round 100
        set doubtful [node_ask $node GET doubtful]
        assert {$doubtful == $round || $answer ne "OK"}
        kill9 $node
        restart $node
        foreach prefix [list kept more-$round] { assert_keys $node $prefix 100 }
        assert_equal [list [node_ask $node EXISTS refused] [node_ask $node GET doubtful]] [list 0 $doubtful]
    }
    assert_keys $node more-1 100
}

test "a checkpoint and a flush that find the disk full are made again; writes go on, and are in the WAL that is there" {
    set node [start_with_keys {-ballast-bytes 0}]
    bad_disk $node {write full raft.db} {write full keys-1.db-wal} {write full keys-1.db}
    assert_match [node_ask $node SNAPSHOT] "-ERR the keys file was not written: *keys-1.db: cannot flush keys: database or disk is full*"
    set failed {raft\.db: the checkpoint failed and is tried again: .*raft\.db: cannot checkpoint it: database or disk is full}
    set value [string repeat v 100000]
    for {set large 0} {![log_lines $node $failed]} {incr large} { assert_equal [node_ask $node SET large:$large $large$value] OK }
    write_keys $node more 100
    kill9 $node
    bad_disk $node
    restart $node
    foreach prefix {kept more} { assert_keys $node $prefix 100 }
    for {set i 0} {$i < $large} {incr i} { assert_equal [node_ask $node GET large:$i] $i$value }
    assert_equal [node_ask $node SNAPSHOT] OK
}

test "a start on a full disk gives the ballast away, and ends with 1 if that is not enough; with room the node starts" {
    set node [start_with_keys]
    foreach {file words} {
        raft.db       {raft.db: cannot checkpoint it: database or disk is full (13)}
        raft.db-wal   {raft.db: cannot write its WAL once more: database or disk is full (13)}
        keys-1.db-wal {keys-1.db: cannot write its WAL once more: database or disk is full (13)}
    } {
        write_keys $node $file 10
        assert_equal [node_ask $node SNAPSHOT] OK
        wait_for_condition "the ballast is there" 5000 {[file exists $node::dir($node)/ballast]}
        kill9 $node
        bad_disk $node "write full $file"
        foreach time {first second} {
            restart $node -nowait
            set node::expected_end($node) 1
            assert_equal [process::wait_end $node::pid($node) 15000] "exit 1"
            assert_match [last_words $node] "*/$words"
        }
        assert_match [log_of $node] "*/$words; the ballast is given away\n*"
        bad_disk $node
        restart $node
        foreach {prefix count} [list kept 100 $file 10] { assert_keys $node $prefix $count }
    }
}

test "D17: a node alone whose disk stands still has nobody to hand over to: writes wait, reads go on, and it leads on" {
    bad_disk::prepare
    set node [start_node -options {-election-timeout 200}]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET key before] eq "OK"}
    # A node alone with a fast disk may write on the loop, which waits for that disk; with a delay it does not.
    call_node $node DEBUG SYNC-DELAY 1
    set term [raft_field $node term]
    set writer [connect $node]
    bad_disk $node {sync stalls raft.db-wal}
    resp::send $writer SET key after
    wait_log $node {the disk stalls: a commit takes longer than disk-stall-timeout}
    assert_equal [node_ask $node GET key] before
    # Another two election timeouts, in which it might have stepped down.
    assert {![resp::reply_waits $writer 400]} "SET is not answered while its sync is not done"
    assert_equal [list [raft_field $node role] [raft_field $node term]] [list leader $term]
    bad_disk $node
    assert_equal [resp::text [resp::reply $writer]] OK
    assert_equal [node_ask $node GET key] after
    wait_log $node {the disk answers again}
    assert_equal [list [raft_field $node role] [raft_field $node term]] [list leader $term]
}
