# The tests' own tools, held against the real Redis: a tool that cannot fail proves nothing.

test "the client parses every reply type of RESP2 and RESP3" {
    set connection [resp::open [start_redis {--enable-debug-command local}]]
    foreach {type expected} {
        string {bulk {Hello World}} integer {integer 12345} double {bulk 3.141} null {nil {}}
        array {array {{integer 0} {integer 1} {integer 2}}} set {array {{integer 0} {integer 1} {integer 2}}}
        map {array {{integer 0} {integer 0} {integer 1} {integer 1} {integer 2} {integer 0}}}
        verbatim {bulk {This is a verbatim
string}} true {integer 1} false {integer 0}
    } {
        resp::send $connection DEBUG PROTOCOL $type
        assert_equal [resp::reply $connection] $expected "RESP2 $type"
    }
    assert_match [call $connection HELLO 3] "*server redis*proto 3*"
    foreach {type expected} {
        string {bulk {Hello World}} integer {integer 12345} null {nil {}}
        array {array {{integer 0} {integer 1} {integer 2}}} set {set {{integer 0} {integer 1} {integer 2}}}
        map {map {{integer 0} {boolean f} {integer 1} {boolean t} {integer 2} {boolean f}}}
        verbatim {verbatim {txt:This is a verbatim
string}} true {boolean t} false {boolean f} bignum {big 1234567999999999999999999999999999999}
    } {
        resp::send $connection DEBUG PROTOCOL $type
        assert_equal [resp::reply $connection] $expected "RESP3 $type"
    }
    resp::send $connection DEBUG PROTOCOL double
    assert_match [resp::reply $connection] "double 3.14*"
}

test "the client is binary safe, pipelines, and takes deferred replies in order" {
    set connection [resp::open [start_redis]]
    set bytes ""
    for {set i 0} {$i < 256} {incr i} { append bytes [format %c $i] }
    append bytes "\r\n\$5\r\n"
    assert_equal [call $connection SET $bytes $bytes$bytes] OK
    assert_equal [call $connection GET $bytes] $bytes$bytes
    set requests {}
    for {set i 0} {$i < 5000} {incr i} { lappend requests [list ECHO $i] }
    set i -1
    foreach answer [ask_all $connection $requests] { assert_equal $answer [incr i] }
    resp::send $connection NOSUCH a
    resp::send $connection GET missing
    assert_match [resp::reply $connection] "error {ERR unknown command 'NOSUCH'*}"
    assert_equal [resp::text [resp::reply $connection]] (nil)
    assert {[catch {call $connection NOSUCH}]}
    resp::send $connection QUIT
    assert_equal [resp::read_to_end $connection] "+OK\r\n"
}

test "an ended process is noticed at once and its status told" {
    set pid [process::start {sh -c {exit 7}} . /dev/null /dev/null]
    assert_equal [process::wait_end $pid 5000] "exit 7"
    set pid [process::start {sleep 60} . /dev/null /dev/null]
    assert {[process::runs $pid]}
    process::signal KILL $pid
    assert_equal [process::wait_end $pid 5000] "signal SIGKILL"
    assert {[catch {process::wait_end [process::start {sleep 60} . /dev/null /dev/null] 50}]}
    assert_equal [process::run {sh -c {cat; echo no >&2; exit 3}} 5000 . yes] [list "exit 3" "yes" "no\n"]
}

test "what a sanitizer finds in a process fails its test, a leak at its end too" {
    set faults [file join [file dirname $node::binary] leto-faults]
    if {$sanitizer::name eq ""} { skip "bin/leto was built without a sanitizer" }
    foreach {fault said} [dict get {
        address {leak "detected memory leaks" overflow heap-buffer-overflow sum "signed integer overflow"}
        thread {race "data race"}
    } $sanitizer::name] {
        set status [lindex [process::run [list $faults $fault] 20000] 0]
        assert {$status ne "exit 0"} "$fault: $status"
        assert {[catch {check_no_report} message]} $fault
        assert_match $message "*$said*" $fault
        assert_match $message "*tests/faults/main.cc*" "$fault: where it is"
        file delete {*}[sanitizer::reports $harness::directory]
    }
    assert_equal [lindex [process::run [list $faults nothing] 20000] 0] "exit 0"
    check_no_report
}

test "what takes a processor from all other threads, as a host does, is known to the microsecond" {
    if {![host_pauses::start]} { skip "no real-time priority for this user" }
    if {[auto_execok chrt] eq ""} { skip "no chrt" }
    set from [clock microseconds]
    process::run {chrt --fifo 90 timeout 0.2 sh -c {while :; do :; done}} 5000
    set to [clock microseconds]
    pause 20
    set taken [host_pauses::taken $from $to]
    assert {$taken > 100000 && $taken <= $to - $from} "$taken us of [expr {$to - $from}]"
    assert_equal [host_pauses::taken $from $from] 0
    set middle [expr {($from + $to) / 2}]
    assert_equal [host_pauses::taken $middle [expr {$middle + 10000}]] 10000 "the midst of it"
}

test "a port that was given is of this worker's block alone, and is not given while somebody listens there" {
    set port [free_port]
    assert {$port > $harness::ports && $port < $harness::ports + $harness::block_size}
    assert {[catch {listen_on $harness::ports}]} "another worker can have the block"
    set channel [listen_on $port]
    for {set i 1} {$i < $harness::block_size} {incr i} { assert {[free_port] != $port} }
    chan close $channel
    for {set i 1} {$i < $harness::block_size && [free_port] != $port} {incr i} {}
    assert {$i < $harness::block_size} "it is given again"
}

test "waiting for a condition ends when it holds, and tells the last error when it does not" {
    set ::counter 0
    wait_for_condition "the counter reaches 3" 1000 {[incr ::counter] >= 3}
    assert_equal $::counter 3
    assert {[catch {wait_for_condition "never" 30 {[error "the reason"]}} message]}
    assert_match $message "not within [scaled 30] ms: never*the reason*"
}

test "the check after a load notices a lost write, a changed one and a counter that is off" {
    set port [start_redis]
    set node::port(redis) $port
    set node::command(redis) {}
    set load [start_load redis]
    wait_load_progress $load
    set result [stop_load $load]
    assert_load_kept $load $result redis
    assert {[llength [dict get $result acknowledged]] > 100}
    set connection [resp::open $port]
    foreach {spoil mend} {
        {DEL $load:0} {SET $load:0 0}
        {SET $load:1 9} {SET $load:1 1}
        {INCR $load:count} {DECR $load:count}
        {DECR $load:count} {INCR $load:count}
    } {
        call $connection {*}[subst $spoil]
        assert {[catch {assert_load_kept $load $result redis}]} [subst $spoil]
        call $connection {*}[subst $mend]
        assert_load_kept $load $result redis
    }
}
