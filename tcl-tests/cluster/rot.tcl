# Rotten bytes: found, named, and repaired from the other nodes; refused where there are none.

proc read_bytes {path} {
    set channel [open $path rb]
    set bytes [read $channel]
    chan close $channel
    return $bytes
}

# Changes `bytes` at an offset of a file.
proc write_at {path offset bytes} {
    set channel [open $path r+b]
    seek $channel $offset
    puts -nonewline $channel $bytes
    chan close $channel
}

# As if a commit had only just begun the WAL anew: its header, and zeros.
proc empty_wal {file} {
    set size [file size $file-wal]
    set channel [open $file-wal r+b]
    chan truncate $channel 32
    chan truncate $channel $size
    chan close $channel
}

# The last place in the file that says `needle` says something else. Its WAL has nothing that would heal it: for a node that
# ended in order.
proc rot {file needle} {
    if {[file tail $file] eq "raft.db"} { empty_wal $file } else { file delete $file-wal $file-shm }
    write_at $file [place_of $needle $file] "X"
}

# Of the last one.
proc place_of {needle file} {
    set at [string last $needle [read_bytes $file]]
    assert {$at >= 0} "$needle is in $file"
    return $at
}

proc keys_file {name} { return [lindex [lsort -dictionary [glob $node::dir($name)/keys-*.db]] end] }
proc log_file {name} { return $node::dir($name)/raft.db }
proc folders {name} { return [lsort [glob -nocomplain -tails -directory $node::dir($name) damaged-*]] }

# All files of a directory but LOCK, with what is in them. An empty WAL is none.
proc contents {name} {
    set all {}
    foreach file [lsort [glob -tails -directory $node::dir($name) *]] {
        if {$file in {LOCK ballast}} continue
        if {[file isfile $node::dir($name)/$file] && [file size $node::dir($name)/$file] > 0} { lappend all $file [read_bytes $node::dir($name)/$file] }
    }
    return $all
}

# Until the node is a member again, as a new one.
proc wait_repaired {name nodes old} {
    wait_serving $name 20000
    wait_members $nodes 30000
    assert {[raft_field $name node] ne $old} "it is a new incarnation"
    assert_equal [llength [folders $name]] 1 "folders of damaged files"
    wait_for_condition "it knows that it is back" 10000 {![file exists $node::dir($name)/rejoin]}
}

# Three nodes under load; `damage` (a script, $victim is a follower, which has ended) is done, and repaired.
proc scenario {ends damage expected {prepare {}} {options {}}} {
    set nodes [start_cluster 3 $options]
    # The founder: it was started without -join, and knows the others from its files alone.
    set victim [lindex $nodes 0]
    if {[leader_of $nodes] eq $victim} { assert_equal [node_ask $victim TRANSFER] OK }
    set leader [leader_of [others $nodes $victim]]
    eval $prepare
    set load [start_load [others $nodes $victim]]
    for {set i 0} {$i < 10} {incr i} { call_node $leader SET canary$i rotten-value-$i }
    wait_load_progress $load
    call_node $victim SNAPSHOT
    set old [raft_field $victim node]
    if {$ends eq "in order"} { stop $victim } else { kill9 $victim }
    eval $damage
    launch $victim
    set started [clock milliseconds]
    wait_for_condition "$victim serves, or has ended" 10000 {![runs $victim] || [node_serves $victim]}
    if {![runs $victim]} {
        assert_equal $process::status($node::pid($victim)) "exit 75" [errors_of $victim]
        assert_match [errors_of $victim] "*start this node again, and it is repaired if it can be*"
        assert {[file exists $node::dir($victim)/damaged]}
        launch $victim
    }
    wait_repaired $victim $nodes $old
    assert {[regexp -- $expected [log_of $victim][errors_of $victim]]} "$expected is said"
    wait_load_progress $load
    set result [stop_load $load]
    note "[describe_load $result]; repaired within [expr {[clock milliseconds] - $started}] ms"
    wait_caught_up $nodes
    assert_load_kept $load $result $nodes
    assert_equal [node_ask $victim GET canary7] rotten-value-7
    assert_same_digest $nodes
    set node::expected_end($victim) 1
}

test "a damaged entry at the log's end is repaired from the others, under load" -timeout 90 {
    scenario "in order" { rot [log_file $victim] rotten-value-9 } {raft\.db: damaged: entry \d+ has a wrong checksum}
}

test "a raft.db that is no database any more is repaired from the others" -timeout 90 {
    scenario "in order" { file delete [log_file $victim]-wal; write_at [log_file $victim] 0 "rubbish" } {raft\.db: not a database}
}

test "a raft.db that is gone is repaired from the others, and founds no cluster" -timeout 90 {
    scenario "in order" { file delete [log_file $victim] [log_file $victim]-wal } {raft\.db: damaged: it is gone or empty}
}

test "who repairs itself waits until it is missed itself, and does not take itself for another one with its id" -timeout 90 {
    set nodes [start_cluster 3 {-election-timeout 1000 -heartbeat-interval 100}]
    set victim [lindex [followers_of $nodes] 0]
    set old [raft_field $victim node]
    kill9 $victim
    foreach file [glob [log_file $victim]*] { file delete $file }
    launch $victim
    wait_repaired $victim $nodes $old
    assert {[regexp "cannot join .* is alive at .*; trying again" [log_of $victim]]} "it was still taken to be alive"
}

test "a raft.db that is gone beside its WAL is repaired from the others, and the WAL is kept" -timeout 90 {
    scenario "killed" { file delete [log_file $victim] } {raft\.db: damaged: it is gone or empty}
}

test "a WAL of raft.db whose header is damaged is repaired from the others" -timeout 90 {
    scenario "killed" { write_at [log_file $victim]-wal 20 "rubbish" } {raft\.db-wal: damaged: its header is wrong}
}

test "a WAL of raft.db that is gone is repaired from the others" -timeout 90 {
    scenario "killed" { file delete [log_file $victim]-wal } {raft\.db-wal: damaged: it has 0 bytes and had \d+}
}

test "a damaged WAL of raft.db, which SQLite would pass over in silence, is repaired from the others" -timeout 90 {
    scenario "killed" { write_at [log_file $victim]-wal [expr {32 + 4120 * 2 + 500}] "rubbish" } \
        {raft\.db-wal: damaged: frame \d+ has a wrong checksum, and \d+ commits}
}

# So that what was compacted cannot be applied again.
proc wait_compacted {name leader} {
    wait_for_condition "the log of $name does not begin with the first entry" 20000 {
        [node_ask $leader SET compact [string repeat c 100000]] eq "OK" && [node_ask $name SNAPSHOT] eq "OK" &&
        [raft_field $name log_first_index] > 1
    }
}

proc small_log {} { return {-log-segment 64kb -log-window 0} }

# It has ended over keys that are rotten, and is started again: it stays who it is, and gets them by a snapshot.
proc wait_keys_back {name old} {
    wait_for_condition "$name has ended" 20000 {![runs $name]}
    assert_equal $process::status($node::pid($name)) "exit 75" [errors_of $name]
    set before [string length [log_of $name]]
    restart $name -nowait
    wait_log $name {has lost its keys, not its log} 10000 $before
    wait_log $name {goes on from a snapshot} 30000 $before
    wait_serving $name
    assert_equal [raft_field $name node] $old "the incarnation stays: nothing it promised is lost"
    assert_equal [folders $name] {}
}

test "a damaged value in the keys file, found beside the loop, comes back by a snapshot; log and vote stay" -timeout 90 {
    set nodes [start_cluster 3 [small_log]]
    set leader [leader_of $nodes]
    set victim [lindex [others $nodes $leader] 0]
    for {set i 0} {$i < 10} {incr i} { call_node $leader SET canary$i rotten-value-$i }
    wait_compacted $victim $leader
    set old [raft_field $victim node]
    set load [start_load [others $nodes $victim]]
    wait_load_progress $load
    stop $victim
    rot [keys_file $victim] rotten-value-7
    launch $victim
    set node::expected_end($victim) 1
    wait_keys_back $victim $old
    assert_match [log_of $victim][errors_of $victim] {*keys-*.db: damaged: key "canary7" of database 0*}
    assert_match [log_of $leader] "*$victim has its log, but its keys are lost: it needs a snapshot*"
    wait_load_progress $load
    set result [stop_load $load]
    wait_caught_up $nodes
    assert_load_kept $load $result $nodes
    assert_equal [node_ask $victim GET canary7] rotten-value-7
    assert_same_digest $nodes
    # Nor does the next start take them for lost.
    kill9 $victim
    restart $victim
    assert {![file exists $node::dir($victim)/keys-lost]}
    assert_equal [node_ask $victim GET canary7] rotten-value-7
}

test "keys that are lost at one of two, which led and has writes that the other has not, come back from the other" -timeout 90 {
    set nodes [start_cluster 2 [small_log]]
    set leader [leader_of $nodes]
    set follower [lindex [others $nodes $leader] 0]
    for {set i 0} {$i < 10} {incr i} { call_node $leader SET canary$i rotten-value-$i }
    wait_compacted $leader $leader
    set old [raft_field $leader node]
    call_node $leader CONFIG SET flush-interval 3600000
    wait_caught_up $nodes
    process::signal STOP $node::pid($follower)
    set writer [connect $leader]
    resp::send $writer SET unsent x
    wait_for_condition "the leader has what the follower has not" 5000 {[raft_field $leader last_index] > [raft_field $leader commit_index]}
    kill9 $leader
    rot [keys_file $leader] rotten-value-7
    process::signal CONT $node::pid($follower)
    launch $leader
    set node::expected_end($leader) 1
    wait_keys_back $leader $old
    assert_equal [node_ask [leader_of $nodes] GET unsent] x
    foreach name $nodes { assert_equal [node_ask $name GET canary7] rotten-value-7 }
    assert_same_digest $nodes
}

test "keys that are lost where one of three is down: the log counts on, so that writes do" -timeout 90 {
    set nodes [start_cluster 3 [small_log]]
    set leader [leader_of $nodes]
    lassign [others $nodes $leader] victim down
    for {set i 0} {$i < 10} {incr i} { call_node $leader SET canary$i rotten-value-$i }
    wait_compacted $victim $leader
    set old [raft_field $victim node]
    kill9 $down
    stop $victim
    rot [keys_file $victim] rotten-value-7
    launch $victim
    set node::expected_end($victim) 1
    wait_keys_back $victim $old
    assert_equal [node_ask $leader SET after x] OK
    restart $down
    wait_caught_up $nodes
    assert_same_digest $nodes
}

test "the keys files of two of three are damaged: both make them anew from their logs, and stay who they are" -timeout 90 {
    set nodes [start_cluster 3]
    set leader [leader_of $nodes]
    for {set i 0} {$i < 10} {incr i} { call_node $leader SET canary$i rotten-value-$i }
    wait_caught_up $nodes
    set victims [others $nodes $leader]
    foreach name $victims { call_node $name SNAPSHOT; lappend old [raft_field $name node] }
    foreach name $nodes { stop $name }
    foreach name $victims { rot [keys_file $name] rotten-value-7 }
    foreach name $nodes { launch $name }
    foreach name $victims {
        wait_for_condition "$name has ended" 10000 {![runs $name]}
        assert_equal $process::status($node::pid($name)) "exit 75" [errors_of $name]
        restart $name -nowait
    }
    wait_members $nodes
    assert_equal [lmap name $victims { raft_field $name node }] $old "the incarnations stay: nothing they promised is lost"
    foreach name $nodes { assert_equal [node_ask $name GET canary7] rotten-value-7 }
    assert_same_digest $nodes
}

test "a damaged page of the keys file is repaired from the others" -timeout 90 {
    scenario "in order" {
        file delete [keys_file $victim]-wal [keys_file $victim]-shm
        write_at [keys_file $victim] 104 [string repeat \xff 400]
    } {keys-\d+\.db: damaged}
}

test "a log that lost its tail is known by the witness, and repaired from the others" -timeout 90 {
    scenario "in order" {
        # An older raft.db beside newer keys: the rows at the end are gone, in order.
        empty_wal [log_file $victim]
        file delete [log_file $victim]
        file rename $harness::directory/older.db [log_file $victim]
    } {raft\.db: damaged: it lost its tail} {
        stop $victim
        file copy [log_file $victim] $harness::directory/older.db
        restart $victim
    }
}

test "an older backup of both files, which the start cannot know, is known to the leader, and repaired from the others" -timeout 90 {
    scenario "in order" {
        foreach file [glob $node::dir($victim)/*.db*] { file delete $file }
        foreach file [glob $harness::directory/older/*.db*] { file copy $file $node::dir($victim) }
        set node::expected_end($victim) 1
        launch $victim
        wait_for_condition "$victim has ended" 20000 {![runs $victim]}
        assert_equal $process::status($node::pid($victim)) "exit 75" [errors_of $victim]
        assert_match [log_of $leader] "*raft: D16: $node::id($victim) acknowledged entry * and has it no more*"
    } {raft\.db: damaged: entries that this node acknowledged are gone: the leader has entry \d+ from it} {
        stop $victim
        file mkdir $harness::directory/older
        foreach file [glob $node::dir($victim)/*.db*] { file copy $file $harness::directory/older }
        restart $victim
    }
}

test "a damaged entry in the middle of the log ends the leader that reads it; the next start repairs it" -timeout 120 {
    set nodes [start_cluster 3 {-log-segment 64kb -log-window 1gb -repair yes}]
    set leader [leader_of $nodes]
    call_node $leader SET first rotten-value-1
    for {set i 0} {$i < 60} {incr i} { call_node $leader SET key$i [string repeat x 16000] }
    wait_caught_up $nodes
    set victim [lindex [others $nodes $leader] 0]
    set old [raft_field $victim node]
    stop $victim
    rot [log_file $victim] rotten-value-1
    restart $victim
    wait_caught_up $nodes
    assert_equal [node_ask [leader_of $nodes] TRANSFER $node::id($victim)] OK
    wait_for_condition "$victim leads" 5000 {[leader_of $nodes] eq $victim}
    set node::expected_end($victim) 1
    set fresh [start_node -join [lindex [others $nodes $victim] 0] -nowait]
    wait_for_condition "$victim has ended" 20000 {![runs $victim]}
    assert_equal $process::status($node::pid($victim)) "exit 75" [errors_of $victim]
    assert_match [errors_of $victim] "*raft.db: damaged: entry * has a wrong checksum; start this node again*"
    set checked [lindex [process::run [list $node::binary --check $node::dir($victim)] 20000] 1]
    assert_match $checked "*noted while the node ran, and judged by its next start: *raft.db: damaged: entry * has a wrong checksum*"
    restart $victim -nowait
    lappend nodes $fresh
    wait_repaired $victim $nodes $old
    foreach name $nodes { assert_equal [node_ask $name GET first] rotten-value-1 }
    assert_same_digest $nodes
}

test "a leader whose keys file is rotten where a snapshot is made of it finds out, ends, and gets its keys from the others" -timeout 120 {
    set nodes [start_cluster 3 {-log-segment 64kb -log-window 0 -flush-interval 200 -repair yes}]
    set leader [leader_of $nodes]
    set connection [connect $leader]
    assert_equal [ask $connection SET a-first rotten-value] OK
    set requests {}
    for {set i 0} {$i < 2000} {incr i} { lappend requests [list SET key$i [string repeat x 1000]] }
    foreach answer [ask_all $connection $requests] { assert_equal $answer OK }
    wait_caught_up $nodes
    set follower [lindex [others $nodes $leader] 0]
    kill9 $follower
    assert_equal [ask $connection SET missed x] OK
    set last [raft_field $leader last_index]
    wait_for_condition "the log begins behind what the follower missed" 10000 {
        [ask $connection SET compact [string repeat c 100000]] eq "OK" && [ask $connection SNAPSHOT] eq "OK" &&
        [raft_field $leader log_first_index] > $last
    }
    set old [raft_field $leader node]
    rot [keys_file $leader] rotten-value
    set node::expected_end($leader) 1
    restart $follower
    wait_keys_back $leader $old
    assert_match [log_of $follower] "*snapshot at entry * refused: *damaged*"
    assert_match [log_of $leader] "*a follower refused a snapshot, and the keys file here: *keys-*.db: damaged: *"
    wait_caught_up $nodes
    foreach name $nodes { assert_equal [node_ask $name GET a-first] rotten-value }
    assert_same_digest $nodes
}

test "a node alone refuses to start on a damaged log, says why and what can be done, and changes nothing" {
    set alone [start_node]
    call_node $alone SET a rotten-value
    stop $alone
    rot [log_file $alone] rotten-value
    set before [contents $alone]
    foreach attempt {1 2} {
        launch $alone
        set node::expected_end($alone) 1
        wait_for_condition "it ends" 10000 {![runs $alone]}
        assert_equal $process::status($node::pid($alone)) "exit 1"
        assert_match [errors_of $alone] "*raft.db: damaged: entry * has a wrong checksum; it is not repaired: no other node has its data. leto --check * says all that is wrong; leto --recover * --new-cluster *"
        assert {[contents $alone] eq $before} "all files are as they were"
    }
    # As it was told: the keys have what the log has not any more.
    exec $node::binary --recover $node::dir($alone) --new-cluster 2>@1
    assert_match [exec $node::binary --check $node::dir($alone)] "*is sound*"
    restart $alone
    wait_for_condition "it serves" 5000 {[node_ask $alone GET a] eq "rotten-value"}
    assert_equal [node_ask $alone SET b c] OK
}

# The page that has `needle`, in the last place, is lost. Its WAL has nothing that would heal it.
proc lose_page {file needle} {
    empty_wal $file
    write_at $file [expr {[place_of $needle $file] / 4096 * 4096}] [string repeat \0 4096]
}

test "repair no: a node that finds damage while it runs ends, says so, and can be recovered though SQLite cannot drop its log" -timeout 60 {
    set alone [start_node -options {-log-segment 64kb -log-window 1gb -repair no}]
    for {set i 0} {$i < 30} {incr i} { call_node $alone SET key$i [string repeat x 8000]middle-of-$i.[string repeat x 8000] }
    call_node $alone SNAPSHOT
    stop $alone
    lose_page [log_file $alone] middle-of-12.
    launch $alone
    wait_for_condition "it serves: no start reads what the keys have" 10000 {[node_serves $alone]}
    set node::expected_end($alone) 1
    catch {call_node $alone CONFIG SET log-window 0}
    wait_for_condition "it has ended" 10000 {![runs $alone]}
    assert_equal $process::status($node::pid($alone)) "exit 1" [errors_of $alone]
    assert_match [errors_of $alone] "*raft.db: *damaged*; repair is no*"
    exec $node::binary --recover $node::dir($alone) --new-cluster 2>@1
    assert_match [exec $node::binary --check $node::dir($alone)] "*is sound*"
    restart $alone
    assert_equal [string length [node_ask $alone GET key12]] 16013
}

test "a node alone makes its keys anew from a log that has everything" {
    set alone [start_node]
    foreach i {1 2 3} { call_node $alone SET key$i rotten-value-$i }
    call_node $alone SNAPSHOT
    set digest [lindex [digest_of $alone] 1]
    set old [raft_field $alone node]
    stop $alone
    rot [keys_file $alone] rotten-value-2
    launch $alone
    set node::expected_end($alone) 1
    wait_for_condition "it ends" 10000 {![runs $alone]}
    assert_equal $process::status($node::pid($alone)) "exit 75"
    restart $alone
    assert {[regexp {all keys are made anew from the log, entries 1 to \d+} [log_of $alone]]}
    wait_for_condition "it has all keys" 5000 {[node_ask $alone GET key3] eq "rotten-value-3"}
    assert_equal [lindex [digest_of $alone] 1] $digest
    assert_equal [raft_field $alone node] $old "the incarnation stays: nothing it promised is lost"
    assert_equal [llength [folders $alone]] 1
}

# A follower among `size` nodes, whose log rots while it is stopped, ends at its start with `sentence`, and nothing was moved.
proc check_not_repaired {size options sentence} {
    set nodes [start_cluster $size $options]
    set victim [lindex [followers_of $nodes] 0]
    call_node [leader_of $nodes] SET a rotten-value
    wait_caught_up $nodes
    stop $victim
    rot [log_file $victim] rotten-value
    launch $victim
    set node::expected_end($victim) 1
    wait_for_condition "it ends" 10000 {![runs $victim]}
    assert_match [errors_of $victim] "*it is not repaired: $sentence*"
    assert_equal [folders $victim] {}
}

test "one of two is not repaired: the other could not take it in again" {
    check_not_repaired 2 {} "the others are no majority without it, and cannot take it in again"
}

test "repair no: refused, and nothing is moved" {
    check_not_repaired 3 {-repair no} "repair is no"
}

test "a node that is started on a full disk gives the ballast away, and says so" {
    set mount $harness::directory/mount
    file mkdir $mount
    if {[catch {exec mount -t tmpfs -o size=64m tmpfs $mount}]} { skip "needs the right to mount a tmpfs" }
    try {
        set node [start_node -dir $mount/data]
        # Less than half of what a checkpoint waits for: raft.db must grow by all of it when it is opened.
        for {set i 0} {$i < 40} {incr i} { call_node $node SET key$i [string repeat x 40000] }
        kill9 $node
        assert {[file exists $mount/data/ballast]}
        # All that is left but the ballast.
        catch {exec dd if=/dev/zero of=$mount/filling bs=64k 2>@1}
        restart $node
        assert {[regexp {disk is full.*; the ballast is given away} [log_of $node]]}
        assert {![file exists $mount/data/ballast]}
        wait_for_condition "it serves what it had" 5000 {[string length [node_ask $node GET key39]] == 40000}
        stop $node
    } finally {
        process::end_all
        exec umount $mount
    }
}
