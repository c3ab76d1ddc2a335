# Generated command streams, and the comparison of two servers' replies to them, byte for byte. A stream is
# drawn from one seed and printed when a difference is found. What is generated may be restricted; what is
# compared is not, except for the differences on purpose in unit/differential.tcl.

namespace eval stream {
    variable state 1
    variable forwarding 0  ;# Watch no key that is ever removed: what was so before is the same again to a follower.
    variable small 0    ;# Keep to what a client may send before AUTH: what is too large ends the stream.
}

# A generator of our own: the same numbers for the same seed with every Tcl.
proc stream::seed {seed} {
    variable state
    set state [expr {($seed * 2862933555777941757 + 3037000493) & 0xffffffffffffffff}]
}

proc stream::below {limit} {
    variable state
    set state [expr {($state * 6364136223846793005 + 1442695040888963407) & 0xffffffffffffffff}]
    return [expr {($state >> 33) % $limit}]
}

proc stream::one_of {choices} { return [lindex $choices [below [llength $choices]]] }

proc stream::random_bytes {length} {
    set bytes ""
    while {[incr length -1] >= 0} { append bytes [format %c [below 256]] }
    return $bytes
}

# Few enough that commands meet each other's keys.
proc stream::key {} {
    if {[below 12] == 0} { return [one_of [list "" "\x00" "\r\n" "key with spaces" "\xff\xfe\x00binary" "{tag}x" [string repeat k 300]]] }
    return "k[below 10]"
}

proc stream::value {} {
    variable small
    switch [below 8] {
        0 { return [random_bytes [below 40]] }
        1 { return [string repeat v [one_of [expr {$small ? {0 1 63 64} : {0 1 63 64 1000 16384 40000}}]]] }
        2 - 3 { return [boundary] }
        4 { return "\$5\r\nhello\r\n" }
        default { return "v[below 1000]" }
    }
}

# Texts at the edges of what an integer is.
proc stream::boundary {} {
    return [one_of {0 1 -1 -0 +1 01 " 1" "1 " 1.0 1e3 0x10 9223372036854775807 9223372036854775806 -9223372036854775808
        -9223372036854775807 9223372036854775808 -9223372036854775809 18446744073709551615 18446744073709551616
        99999999999999999999999999 2147483647 2147483648 -2147483649 4294967296 "" - "1\u0000" 15 16 -16}]
}

proc stream::word {} { return [one_of [list a "" "x y" bogus "\x00\x01" [string repeat w [one_of {127 128 129 200}]] "it's" "line\r\nbreak"]] }

proc stream::any_case {name} {
    switch [below 4] {
        0 { return [string toupper $name] }
        1 { return [string totitle $name] }
        default { return $name }
    }
}

proc stream::words {count} {
    set list {}
    while {[incr count -1] >= 0} { lappend list [word] }
    return $list
}

proc stream::keys {count} {
    set list {}
    while {[incr count -1] >= 0} { lappend list [key] }
    return $list
}

proc stream::watched_keys {count} {
    variable forwarding
    set list {}
    while {[incr count -1] >= 0} { lappend list [expr {$forwarding || [below 2] ? "w[below 4]" : [key]}] }
    return $list
}

# One request, as a list of arguments.
proc stream::request {} {
    switch [one_of {set set set get get get del exists incr incr ping echo select client config command arity unknown auth hello
        select rename rename renamenx swapdb flushdb flushall dbsize multi multi exec exec watch watched watched transaction}] {
        multi { return [list [any_case [one_of {multi multi multi multi discard unwatch reset}]]] }
        exec { return [list [any_case exec]] }
        watch { return [list [any_case watch] {*}[watched_keys [below 4]]] }
        watched { return [one_of [list [list set w[below 4] [value]] [list incr w[below 4]] [list get w[below 4]] {dbsize}]] }
        transaction { return [list [any_case [one_of {multi exec discard unwatch}]] {*}[wrong_count]] }
        set { return [list [any_case set] [key] [value]] }
        get { return [list [any_case get] [key]] }
        del { return [list [any_case del] {*}[keys [expr {1 + [below 4]}]]] }
        exists { return [list [any_case exists] {*}[keys [expr {1 + [below 4]}]]] }
        incr { return [list [any_case incr] [key]] }
        ping { return [list [any_case ping] {*}[words [one_of {0 0 1 2 3}]]] }
        echo { return [list [any_case echo] [value]] }
        select { return [list [any_case select] [one_of {0 0 0 1 1 2 15 16 17 -1 abc "" 00 " 0" 0.0 2147483648 9223372036854775808 -9223372036854775809}]] }
        rename { return [list [any_case rename] [key] [key]] }
        renamenx { return [list [any_case renamenx] [key] [key]] }
        swapdb { return [list [any_case swapdb] [database] [database]] }
        flushdb { return [list [any_case flushdb] {*}[one_of {{} {} {} {} async SYNC bogus {async sync}}]] }
        flushall { return [list [any_case flushall] {*}[one_of {{} sync ASYNC "" bogus {sync async} {a b c}}]] }
        dbsize { return [list [any_case dbsize]] }
        client { return [client_request] }
        config { return [config_request] }
        command { return [command_request] }
        arity { return [list [any_case [one_of {get set del exists incr ping echo select client config auth rename renamenx swapdb dbsize}]] {*}[wrong_count]] }
        unknown { return [list [one_of {foo getx se "" "\x00" "ge t" _} ] {*}[words [below [expr {$stream::small ? 9 : 25}]]]] }
        auth { return [one_of {{auth secret} {auth default secret} {auth nobody x} {auth a b c} {AUTH ""} {auth default ""}}] }
        hello { return [one_of {{hello 1} {hello 4} {hello abc} {hello ""} {hello 2 auth nobody x} {hello 3 bogus} {hello 3 auth x}
            {hello 2 setname "a b"} {hello 9223372036854775808} {hello 3 setname}}] }
    }
}

# What SWAPDB is told: mostly a database.
proc stream::database {} { return [one_of {0 1 2 15 0 1 2 15 0 1 2 15 16 -1 abc "" 01 2147483648 99999999999999999999}] }

# A number of arguments that some of the commands refuse. SET with valid options is not Leto's yet.
proc stream::wrong_count {} { return [one_of [list {} [list [key]] [list [word] [word] bogus] [list a b c d e]]] }

proc stream::client_request {} {
    return [one_of {{client setname name-1} {client setname ""} {client setname "with space"} {client setname "new\nline"} {CLIENT GETNAME}
        {client getname x} {client} {client bogus} {client bogus a b} {client setname} {client id x} {client list type bogus}
        {client list bogus} {client list id abc} {client list type} {client no-such-thing 1}}]
}

proc stream::config_request {} {
    return [one_of {{config get no-such-option} {config get maxclients} {config get timeout} {config get tcp-keepalive} {config get} {config set}
        {config set no-such-option 1} {config set maxclients} {config set maxclients abc} {config set timeout -1} {config set timeout abc}
        {config set timeout 0 timeout 0} {config resetstat} {config resetstat x} {config} {config bogus} {config bogus x}
        {config get requirepass} {config get loglevel} {config set loglevel loud} {config get protected-mode} {config set protected-mode maybe}
        {config set timeout 0} {config get extra-name no-such-option-2 timeout timeout}}]
}

proc stream::command_request {} {
    return [one_of {{command bogus} {command bogus x} {command info no-such-command} {command docs no-such-command} {command count x}
        {command info no-such-command another}}]
}

# The bytes of one request: mostly an array, sometimes inline.
proc stream::request_bytes {arguments} {
    if {[below 12] == 0} {
        foreach argument $arguments { if {![regexp {^[A-Za-z0-9_.:-]+$} $argument]} { return [resp::encode $arguments] } }
        return "[join $arguments [one_of {" " "  " "\t"}]][one_of {"\r\n" "\n"}]"
    }
    return [resp::encode $arguments]
}

# A stream of `count` requests: {requests bytes}. It ends with QUIT, so that the replies have an end.
proc stream::generate {count} {
    set requests {}
    set bytes ""
    while {[incr count -1] >= 0} {
        set arguments [request]
        lappend requests $arguments
        append bytes [request_bytes $arguments]
    }
    lappend requests QUIT
    append bytes [resp::encode QUIT]
    return [list $requests $bytes]
}

# Writes the bytes cut at random places.
proc stream::write_cut {connection bytes} {
    set length [string length $bytes]
    for {set at 0} {$at < $length} {set at $next} {
        set next [expr {$at + 1 + [below [one_of {3 20 200 5000 100000}]]}]
        if {[catch {resp::write $connection [string range $bytes $at $next-1]}]} return
        if {[below 4] == 0} update
    }
}

# Splits a reply's bytes into the bytes of each whole reply; what is left over, if anything, comes last.
proc stream::split_replies {bytes} {
    set replies {}
    set at 0
    while {$at < [string length $bytes]} {
        if {[catch {resp::parse $bytes $at} parsed] || $parsed eq ""} {
            lappend replies [string range $bytes $at end]
            break
        }
        lappend replies [string range $bytes $at [lindex $parsed 0]-1]
        set at [lindex $parsed 0]
    }
    return $replies
}

# Fails with the first request whose replies differ.
proc stream::compare {requests from_redis from_leto} {
    if {$from_redis eq $from_leto} return
    set left [split_replies $from_redis]
    set right [split_replies $from_leto]
    for {set i 0} {$i < max([llength $left], [llength $right])} {incr i} {
        if {[lindex $left $i] eq [lindex $right $i] && $i < [llength $left] && $i < [llength $right]} continue
        error "reply [expr {$i + 1}] of [llength $requests] differs\nrequest: [shown_request [lindex $requests $i]]\nbefore:  [shown_request [lindex $requests $i-1]]\nredis:   [shown [lindex $left $i]]\nleto:    [shown [lindex $right $i]]"
    }
    error "the bytes differ, the replies do not"
}

proc stream::shown {bytes} {
    if {$bytes eq ""} { return "(nothing: closed)" }
    return [printable [string range $bytes 0 600]]
}

proc stream::shown_request {arguments} {
    return [join [lmap argument $arguments { printable [string range $argument 0 80] }] " | "]
}
