# The same bytes to a real Redis and to one Leto node; every byte of every reply is compared.
#
# Differences on purpose, which the streams therefore do not contain:
#
#   command or option          Redis 7.0.15              Leto                       why
#   DELETE, JOIN, LEAVE,       unknown command           Leto's own commands        part of Leto's interface
#   SNAPSHOT
#   READONLY, READWRITE        ERR ... cluster support   OK                         they choose local reads
#   CLIENT SETINFO             unknown subcommand        OK                         clients of today send it first
#   HELLO, when it succeeds    names redis, 7.0.15       names itself               the fields are tested below
#   JOIN and the like in MULTI unknown command           not allowed there          they answer later than EXEC
#   COMMAND, COMMAND COUNT     240 commands              Leto's commands            the table is Leto's
#   CONFIG GET of dir, save,   its own values            its own values             other files, other ways to be durable
#   appendonly, port, bind
#   client-output-buffer-limit no limit for clients      64mb 64mb 10               a stalled reader must not eat the node
#   proto-max-bulk-len         512mb                     lower                      an entry of the log has a bound
#   *N with N > 1048576        taken up to 2147483647    invalid multibulk length   the bound of arguments is a named one
#
# LETO_SEED=n runs other streams; each failure prints the seed of its stream.

source [file join $support streams.tcl]

set base_seed [expr {[info exists env(LETO_SEED)] ? $env(LETO_SEED) : 20240601}]

# A redis-server and a node of Leto, started alike: {redis_port leto_port}.
proc start_pair {{options {}}} {
    set redis [start_redis [concat {--enable-debug-command local} $options]]
    set leto [start_node -options $options]
    wait_takes_writes $leto
    return [list $redis $node::port($leto)]
}

# Until a write is taken: a node that was just founded has to elect itself first.
proc wait_takes_writes {name} {
    set connection [connect $name]
    wait_for_condition "node $name takes writes" 10000 {[ask $connection SET warm up] eq "OK"}
    call $connection DEL warm
    resp::close $connection
}

# All that comes back for `bytes`, written in random pieces, until the server closes.
proc answer_to {port bytes} {
    set connection [resp::open $port]
    stream::write_cut $connection $bytes
    set answer [resp::read_to_end $connection 10000]
    resp::close $connection
    return $answer
}

# Streams drawn from the seeds first, first + 1, ..., each on a connection of its own to both servers.
proc run_streams {pair first count length {prefix {}}} {
    set compared 0
    for {set seed $first} {$seed < $first + $count} {incr seed} {
        stream::seed $seed
        lassign [stream::generate $length] requests bytes
        set requests [concat $prefix $requests]
        set before ""
        foreach request $prefix { append before [resp::encode $request] }
        set answers [lmap port $pair { answer_to $port $before$bytes }]
        if {[catch {stream::compare $requests {*}$answers} message]} { error "seed $seed: $message" }
        incr compared [llength $requests]
    }
    note "$compared replies compared, seeds $first to [expr {$first + $count - 1}]"
}

# Bytes that stand alone, each on a connection of its own to both. After them comes QUIT; or nothing if they close it
# themselves: bytes behind it would make the close a reset, which may swallow the reply. (For the same
# reason what is too long is so by one byte.)
proc compare_bytes {pair cases {last "*1\r\n\$4\r\nQUIT\r\n"}} {
    foreach bytes $cases {
        if {[catch {lmap port $pair { answer_to $port $bytes$last }} answers]} { error "sent: [printable [string range $bytes 0 200]]\n$answers" }
        lassign $answers redis leto
        if {$redis eq $leto} continue
        error "sent:  [printable [string range $bytes 0 200]]\nredis: [stream::shown $redis]\nleto:  [stream::shown $leto]"
    }
    note "[llength $cases] cases compared"
}

proc compare_errors {pair cases} { compare_bytes $pair $cases "" }

test "generated streams get the same replies as from Redis" -timeout 60 {
    run_streams [start_pair] $::base_seed 60 60
}

test "generated streams get the same replies as from Redis, at length" -long -timeout 600 {
    run_streams [start_pair] [expr {$::base_seed + 1000}] 1500 100
}

test "generated streams get the same replies as from Redis, with a password" -timeout 60 {
    set pair [start_pair {--requirepass secret}]
    set stream::small 1
    run_streams $pair [expr {$::base_seed + 100000}] 15 25
    set stream::small 0
    run_streams $pair [expr {$::base_seed + 200000}] 15 25 {{AUTH wrong} {AUTH secret}}
}

# {redis_port leto_port}, the latter that of a follower that forwards what it may not do itself.
proc start_pair_with_follower {} {
    set nodes [start_cluster 3 {--enable-debug-command local --follower-writes forward}]
    return [list [start_redis {--enable-debug-command local}] $node::port([lindex [followers_of $nodes] 0])]
}

test "a follower that forwards gives the same replies as Redis" -timeout 60 {
    set stream::forwarding 1
    run_streams [start_pair_with_follower] [expr {$::base_seed + 300000}] 30 60
}

test "a follower that forwards gives the same replies as Redis, at length" -long -timeout 600 {
    set stream::forwarding 1
    run_streams [start_pair_with_follower] [expr {$::base_seed + 400000}] 500 100
}

test "wrong arities and unknown commands are told in Redis's words" {
    set cases {}
    set closing {}
    foreach name {get set del exists incr ping echo select auth client config command info debug role hello shutdown quit
            rename renamenx swapdb flushdb flushall dbsize multi exec discard watch unwatch} {
        foreach arguments {{} {a} {a b} {a b c} {a b c d e f}} {
            if {$name in {command info role hello quit ping} && $arguments eq ""} continue
            if {$name in {multi exec discard unwatch} && $arguments eq ""} continue
            if {$name in {debug shutdown} && $arguments ne {a b c d e f}} continue
            if {$name in {role info} && [llength $arguments] < 2} continue
            if {$name eq "info"} continue
            if {$name eq "set" && [llength $arguments] == 2} continue
            # QUIT closes whatever its arguments are.
            lappend [expr {$name eq "quit" ? "closing" : "cases"}] [resp::encode [list $name {*}$arguments]]
        }
    }
    foreach arguments {{nosuch} {"" x} {nosuch a b c} {"new\r\nline" "a\r\nb"}} { lappend cases [resp::encode $arguments] }
    lappend cases [resp::encode [list nosuch [string repeat a 100] [string repeat b 100] c]]
    lappend cases [resp::encode [list [string repeat n 200] [string repeat b 200] c]]
    lappend cases [resp::encode [list nosuch {*}[lrepeat 50 argument]]]
    set pair [start_pair]
    compare_bytes $pair $cases
    compare_bytes $pair $closing ""
}

test "inline commands are read as Redis reads them" {
    set pair [start_pair]
    compare_bytes $pair [list "PING\r\n" "ping\n" "  PING  \r\n" "\r\n\r\nPING\r\n" "\n" "SET a b\r\nGET a\r\n" \
        "SET a \"b c\"\r\nGET a\r\n" "SET a \"\\x41\\n\\r\\t\\a\\b\\\\\\\"\"\r\nGET a\r\n" "SET a 'it\\'s'\r\nGET a\r\n" "SET a ''\r\nGET a\r\n" \
        "ECHO \"\\xzz\\q\"\r\n" "\"PING\"\r\n" "ping a b\r\n" "GET\r\n" "nosuch a b\r\n" "\x80\xff\r\n" \
        "ECHO \xc3\xa9\r\n" "   \r\nPING\r\n" "PING\r\r\n" "ECHO a'b\r\n" "ECHO [string repeat a 60000]\r\n"]
    compare_errors $pair [list [string repeat a 65537] "ECHO [string repeat a 65532]" "SET a \"b\r\n" "SET a 'b\r\n" "SET a \"b\"c\r\n" \
        "ECHO 'a'b\r\n" "PING\r\nECHO \"a\r\n"]
}

test "protocol errors are told in Redis's words, and close" {
    set pair [start_pair]
    compare_bytes $pair [list "*0\r\n" "*-1\r\n" "*-10\r\n" "*1\r\n\$0\r\n\r\n" "*1\r\n\$1\r\n\x00\r\n" "*2\r\n\$4\r\nECHO\r\n\$0\r\n\r\n"]
    compare_errors $pair [list "*abc\r\n" "*\r\n" "* 1\r\n" "*1 \r\n" "*+1\r\n" "*01\r\n" "*99999999999\r\n" "*2147483648\r\n" \
        "*1\r\nPING\r\n" "*1\r\n:4\r\n" "*1\r\n+OK\r\n" "*1\r\n*1\r\n" "*1\r\n\n\r\n" "*1\r\n\$-1\r\n" "*1\r\n\$abc\r\n" "*1\r\n\$\r\n" "*1\r\n\$4 \r\n" \
        "*1\r\n\$04\r\n" "*1\r\n\$99999999999\r\n" "*1\r\n\$-5\r\n" "*1\r\n\$9223372036854775808\r\n" "*2\r\n\$3\r\nGET\r\n\$x\r\n" \
        "[resp::encode {SET a b}]*1\r\nX\r\n" "[resp::encode {GET a}][resp::encode {NOSUCH}]*x\r\n" \
        "*[string repeat 1 65536]" "*1\r\n\$[string repeat 1 65536]"]
}

test "the limits before AUTH are Redis's" {
    set pair [start_pair {--requirepass secret}]
    compare_bytes $pair [list "*10\r\n[string repeat "\$4\r\nPING\r\n" 10]" [resp::encode [list [string repeat a 16384]]] \
        [resp::encode {GET a}] [resp::encode {PING}] [resp::encode {SET a b}] [resp::encode {nosuch}] [resp::encode {GET}] \
        [resp::encode {AUTH wrong}] "[resp::encode {AUTH secret}][resp::encode {GET a}]" \
        "[resp::encode {AUTH default secret}]*11\r\n\$3\r\nDEL\r\n[string repeat "\$1\r\na\r\n" 10]" \
        [resp::encode {HELLO 3}] [resp::encode {HELLO 2 AUTH default wrong}] [resp::encode {CLIENT GETNAME}] [resp::encode {CONFIG GET timeout}] \
        [resp::encode {AUTH a b c}] [resp::encode {COMMAND INFO nosuch}] [resp::encode {ECHO x}] [resp::encode {SELECT 0}] \
        "[resp::encode {AUTH secret}][resp::encode {AUTH wrong}][resp::encode {GET a}]"]
    compare_errors $pair [list "*11\r\n" "*1\r\n\$16385\r\n" "[resp::encode {GET a}]*11\r\n"]
}

test "RESP3 replies are Redis's after HELLO 3, and RESP2's after HELLO 2" {
    set answers {}
    foreach port [start_pair] {
        set connection [resp::open $port]
        call $connection HELLO 3
        set bytes ""
        foreach request {{GET missing} {SET a b} {GET a} {EXISTS a} {CONFIG GET timeout} {CONFIG GET nosuch} {COMMAND INFO nosuch} {CLIENT GETNAME}
            {PING} {PING x} {INCR a} {COMMAND DOCS nosuch} {DEL a} {INCR n} {INCR n}} { append bytes [resp::encode $request] }
        resp::write $connection "$bytes[resp::encode {ECHO three}]"
        set three [resp::read_until $connection "three\r\n"]
        call $connection HELLO 2
        resp::write $connection "$bytes[resp::encode {ECHO two}]"
        lappend answers "$three--[resp::read_until $connection "two\r\n"]"
    }
    assert_equal [lindex $answers 1] [lindex $answers 0]
}

# Streams on connections that speak RESP3.
proc run_streams_in_3 {pair first count length} {
    for {set seed $first} {$seed < $first + $count} {incr seed} {
        stream::seed $seed
        lassign [stream::generate $length] requests bytes
        set answers [lmap port $pair {
            set connection [resp::open $port]
            call $connection HELLO 3
            stream::write_cut $connection $bytes
            set answer [resp::read_to_end $connection 10000]
            resp::close $connection
            set answer
        }]
        if {[catch {stream::compare $requests {*}$answers} message]} { error "seed $seed: $message" }
    }
}

test "generated streams get the same replies as from Redis in RESP3" -timeout 60 {
    run_streams_in_3 [start_pair] [expr {$::base_seed + 500000}] 30 60
    set stream::forwarding 1
    run_streams_in_3 [start_pair_with_follower] [expr {$::base_seed + 600000}] 15 60
}

test "what a transaction gives, word for word" {
    set pair [start_pair]
    set cases {}
    foreach requests {
        {EXEC} {DISCARD} {MULTI MULTI EXEC} {MULTI {WATCH a} EXEC} {MULTI SHUTDOWN EXEC} {MULTI {EXEC x} EXEC} {MULTI {DISCARD x} EXEC}
        {MULTI {SET a 1} {INCR a} {GET a} {DEL a} EXEC} {MULTI {SET s x} {INCR s} {SET s y bogus} {GET s} EXEC}
        {MULTI NOSUCH {SET a 1} EXEC {GET a}} {MULTI {CLIENT NOSUCH} EXEC} {MULTI {GET} EXEC} {MULTI RESET EXEC}
        {{WATCH a} {SET a 1} MULTI PING EXEC MULTI PING EXEC} {{WATCH n} {SET n 1} {DEL n} MULTI PING EXEC}
        {{WATCH a} {SET a 2} UNWATCH MULTI {GET a} EXEC} {{WATCH a} MULTI {SET a 3} {GET a} EXEC {GET a}} {{WATCH a} {DEL nosuch} MULTI EXEC}
        {MULTI {CLIENT SETNAME me} {CLIENT GETNAME} EXEC {CLIENT GETNAME}} {MULTI {SELECT 0} {SELECT 16} {SELECT x} {GET a} EXEC {GET a}}
        {{WATCH a} {SET a 4} MULTI {CLIENT SETNAME other} EXEC {CLIENT GETNAME}} {MULTI {AUTH x} {AUTH a b c} {HELLO 9} EXEC}
        {MULTI UNWATCH {ECHO x} {PING a b c} EXEC} {MULTI {CONFIG GET timeout} {COMMAND INFO nosuch} DBSIZE EXEC} {MULTI {SET a b}}
    } {
        set bytes ""
        foreach request $requests { append bytes [resp::encode $request] }
        lappend cases $bytes
    }
    compare_bytes $pair $cases
    compare_bytes [start_pair_with_follower] [lreplace $cases 14 14]
    compare_bytes [start_pair {--requirepass secret}] [list [resp::encode MULTI] [resp::encode EXEC] [resp::encode {EXEC x}] \
        "[resp::encode {AUTH secret}][resp::encode MULTI][resp::encode {AUTH wrong}][resp::encode {GET a}][resp::encode EXEC]" \
        "[resp::encode {AUTH secret}][resp::encode MULTI][resp::encode RESET][resp::encode EXEC]"]
}

test "HELLO's reply has the fields of Redis's, and its options take effect" {
    set all {}
    foreach port [start_pair {--requirepass secret}] {
        set connection [resp::open $port]
        assert_match [ask $connection HELLO 3] "-NOAUTH HELLO must be called with the client already authenticated*"
        resp::send $connection HELLO 3 AUTH default secret SETNAME me
        lassign [resp::reply $connection] type pairs
        assert_equal $type map
        set fields [dict create {*}[lmap pair $pairs { lindex $pair 1 }]]
        assert_equal [dict keys $fields] {server version proto id mode role modules}
        assert_equal [dict get $fields proto] 3
        assert_equal [dict get $fields role] master
        assert_equal [call $connection CLIENT GETNAME] me
        resp::send $connection HELLO 2
        assert_equal [lindex [resp::reply $connection] 0] array
        resp::send $connection HELLO
        assert_equal [llength [lindex [resp::reply $connection] 1]] 14
    }
}

test "COMMAND describes each command of Leto's table as Redis describes it" {
    lassign [start_pair] redis leto
    set redis [resp::open $redis]
    set leto [resp::open $leto]
    foreach name {get set del exists incr ping echo select auth quit client config info role hello shutdown debug readonly readwrite command
            rename renamenx swapdb flushdb flushall dbsize multi exec discard watch unwatch} {
        # Name, arity, flags as a set, first key, last key, step: what clients route by.
        set described {}
        foreach connection [list $redis $leto] {
            set row [lindex [call $connection COMMAND INFO $name] 0]
            lappend described [list [lindex $row 0] [lindex $row 1] [lrange $row 3 5] [llength $row]]
        }
        assert_equal [lindex $described 1] [lindex $described 0] "COMMAND INFO $name"
    }
    set count [call $leto COMMAND COUNT]
    assert_equal [llength [call $leto COMMAND]] $count
    assert {[lsearch -exact [call $leto COMMAND LIST] get] >= 0}
    assert_equal [llength [call $leto COMMAND DOCS]] [expr {2 * $count}]
    assert_match [call $leto COMMAND DOCS get] "get {summary * since * group string*}"
}

test "DELETE is DEL" {
    set connection [connect [start_node]]
    call $connection SET a 1
    call $connection SET b 2
    assert_equal [ask $connection DELETE a b c] 2
    assert_equal [ask $connection EXISTS a b] 0
    assert_equal [ask $connection DELETE] "-ERR wrong number of arguments for 'delete' command"
}

test "the replies of a pipeline of reads and writes are in order and of their place" {
    set connection [connect [start_node]]
    set requests {}
    set expected {}
    for {set i 1} {$i <= 2000} {incr i} {
        lappend requests [list INCR c] [list GET c] [list SET k $i] [list GET k] [list EXISTS k gone] [list PING]
        lappend expected $i $i OK $i 1 PONG
    }
    assert_equal [ask_all $connection $requests] $expected
}

test "what is answered at once between a write and a read holds up neither" {
    set node [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
    foreach between {{PING} {GET} {NOSUCH x} {SELECT 0}} {
        set requests [list {SET a 1} $between {GET a} $between $between {GET a} {SET a 2} {GET a} $between {EXISTS a} {QUIT}]
        lassign [timed {ask_all [connect $node] $requests}] milliseconds answers
        assert_equal [lmap i {0 2 5 6 7 9 10} { lindex $answers $i }] {OK 1 1 OK 2 1 OK} "with $between"
        assert {$milliseconds < [scaled 2000]} "with $between: $milliseconds ms"
    }
}
