# A client of the Redis protocol: requests out, replies in, byte for byte. Knows RESP2 and RESP3, pipelines,
# deferred replies and nested arrays. Refuses to know what a command means and which server answers.
#
# A parsed reply is a pair {type value}; types: status error integer bulk nil array map set double boolean
# verbatim big push. The elements of an array, map, set or push are such pairs again.
# Invariants: a channel is binary and never blocks; every wait has an end.

namespace eval resp {
    variable count 0
    variable channel      ;# By connection.
    variable buffer       ;# Bytes received and not yet consumed.
    variable position     ;# Where in the buffer the next reply begins.
    variable eof
    variable change 0     ;# Written whenever bytes came, for vwait.
    variable reply_timeout_ms 10000
}

# Returns the name of a new connection. Fails if nobody listens.
proc resp::open {port {host 127.0.0.1}} {
    variable count
    variable channel; variable buffer; variable position; variable eof
    set opened [socket $host $port]
    chan configure $opened -translation binary -blocking 0 -buffering full -buffersize 65536
    set connection "resp[incr count]"
    set channel($connection) $opened
    set buffer($connection) ""
    set position($connection) 0
    set eof($connection) 0
    chan event $opened readable [list resp::take_bytes $connection]
    return $connection
}

proc resp::close {connection} {
    variable channel; variable buffer; variable position; variable eof
    if {![info exists channel($connection)]} return
    catch {chan close $channel($connection)}
    unset channel($connection) buffer($connection) position($connection) eof($connection)
}

proc resp::close_all {} {
    variable channel
    foreach connection [array names channel] { close $connection }
}

proc resp::take_bytes {connection} {
    variable channel; variable buffer; variable eof; variable change
    if {[catch {chan read $channel($connection)} bytes]} {
        set eof($connection) 1
    } else {
        append buffer($connection) $bytes
        if {[chan eof $channel($connection)]} { set eof($connection) 1 }
    }
    if {$eof($connection)} { chan event $channel($connection) readable {} }
    incr change
}

# The bytes of one request.
proc resp::encode {arguments} {
    set bytes "*[llength $arguments]\r\n"
    foreach argument $arguments { append bytes "\$[string length $argument]\r\n$argument\r\n" }
    return $bytes
}

proc resp::write {connection bytes} {
    variable channel; variable eof
    if {[catch {chan puts -nonewline $channel($connection) $bytes; chan flush $channel($connection)} message]} {
        set eof($connection) 1
        error "connection lost while writing: $message"
    }
}

proc resp::send {connection args} {
    write $connection [encode $args]
}

# One reply of `bytes` from `at` on: {next type value}, or an empty list if it is not whole.
proc resp::parse {bytes at} {
    set end [string first "\r\n" $bytes $at]
    if {$end < 0} { return {} }
    set line [string range $bytes $at+1 $end-1]
    set next [expr {$end + 2}]
    switch -exact -- [string index $bytes $at] {
        + { return [list $next status $line] }
        - { return [list $next error $line] }
        : { return [list $next integer $line] }
        , { return [list $next double $line] }
        # { return [list $next boolean $line] }
        ( { return [list $next big $line] }
        _ { return [list $next nil ""] }
        $ { return [parse_bulk $bytes $next $line bulk] }
        = { return [parse_bulk $bytes $next $line verbatim] }
        ! { return [parse_bulk $bytes $next $line error] }
        * { return [parse_many $bytes $next $line array 1] }
        % { return [parse_many $bytes $next $line map 2] }
        ~ { return [parse_many $bytes $next $line set 1] }
        > { return [parse_many $bytes $next $line push 1] }
        | { return [skip_attribute $bytes $next $line] }
    }
    error "not a reply: [printable [string range $bytes $at $at+60]]"
}

proc resp::parse_bulk {bytes at length type} {
    if {$length == -1} { return [list $at nil ""] }
    set end [expr {$at + $length}]
    if {[string length $bytes] < $end + 2} { return {} }
    if {[string range $bytes $end $end+1] ne "\r\n"} { error "a bulk of $length bytes does not end with CRLF" }
    return [list [expr {$end + 2}] $type [string range $bytes $at $end-1]]
}

proc resp::parse_many {bytes at length type factor} {
    if {$length == -1} { return [list $at nil ""] }
    set elements {}
    for {set left [expr {$length * $factor}]} {$left > 0} {incr left -1} {
        set parsed [parse $bytes $at]
        if {$parsed eq ""} { return {} }
        lassign $parsed at element_type value
        lappend elements [list $element_type $value]
    }
    return [list $at $type $elements]
}

proc resp::skip_attribute {bytes at length} {
    set parsed [parse_many $bytes $at $length map 2]
    if {$parsed eq ""} { return {} }
    return [parse $bytes [lindex $parsed 0]]
}

# Waits for bytes on the connection, at most until `deadline` (ms of the clock). False if the time is over.
proc resp::wait_bytes {connection deadline} {
    variable buffer; variable eof; variable change
    set before [string length $buffer($connection)]
    while {[string length $buffer($connection)] == $before && !$eof($connection)} {
        set left [expr {$deadline - [clock milliseconds]}]
        if {$left <= 0} { return 0 }
        set timer [after $left {incr resp::change}]
        vwait resp::change
        after cancel $timer
    }
    return 1
}

# The next reply, as {type value}. Fails if the connection ends, or nothing came within the time.
proc resp::reply {connection {timeout_ms ""}} {
    variable buffer; variable position; variable eof; variable reply_timeout_ms
    if {$timeout_ms eq ""} { set timeout_ms $reply_timeout_ms }
    set deadline [expr {[clock milliseconds] + $timeout_ms}]
    while 1 {
        set parsed [parse $buffer($connection) $position($connection)]
        if {$parsed ne ""} {
            consume $connection [lindex $parsed 0]
            return [lrange $parsed 1 2]
        }
        if {$eof($connection)} { error "connection closed while a reply was awaited" }
        if {![wait_bytes $connection $deadline]} { error "no reply within $timeout_ms ms" }
    }
}

proc resp::consume {connection next} {
    variable buffer; variable position
    if {$next >= [string length $buffer($connection)]} {
        set buffer($connection) ""
        set next 0
    } elseif {$next > 262144} {
        set buffer($connection) [string range $buffer($connection) $next end]
        set next 0
    }
    set position($connection) $next
}

# True if a whole reply is there within the time; it is left in place.
proc resp::reply_waits {connection timeout_ms} {
    variable buffer; variable position; variable eof
    set deadline [expr {[clock milliseconds] + $timeout_ms}]
    while {[parse $buffer($connection) $position($connection)] eq ""} {
        if {$eof($connection) || ![wait_bytes $connection $deadline]} { return 0 }
    }
    return 1
}

# All bytes until the other side closes. Fails if it does not within the time.
proc resp::read_to_end {connection {timeout_ms 5000}} {
    variable buffer; variable position; variable eof
    set deadline [expr {[clock milliseconds] + $timeout_ms}]
    while {!$eof($connection)} {
        if {![wait_bytes $connection $deadline]} {
            error "the connection is still open after $timeout_ms ms; received: [printable $buffer($connection)]"
        }
    }
    return [string range $buffer($connection) $position($connection) end]
}

# All bytes until they end with `tail` or the other side closes.
proc resp::read_until {connection tail {timeout_ms 20000}} {
    variable buffer; variable position; variable eof
    set deadline [expr {[clock milliseconds] + $timeout_ms}]
    while {!$eof($connection) && [string range $buffer($connection) end-[expr {[string length $tail] - 1}] end] ne $tail} {
        if {![wait_bytes $connection $deadline]} {
            error "after $timeout_ms ms neither the end nor a close; last bytes: [printable [string range $buffer($connection) end-200 end]]"
        }
    }
    set bytes [string range $buffer($connection) $position($connection) end]
    consume $connection [string length $buffer($connection)]
    return $bytes
}

# A reply as text: an error with its "-", nil as "(nil)", elements as a list. Types are lost, otherwise nothing.
proc resp::text {reply} {
    lassign $reply type value
    switch -exact -- $type {
        error { return "-$value" }
        nil { return "(nil)" }
        array - map - set - push { return [lmap element $value { text $element }] }
    }
    return $value
}

# Sends one request and returns its reply as text.
proc ask {connection args} {
    resp::write $connection [resp::encode $args]
    return [resp::text [resp::reply $connection]]
}

# The same, but an error reply is an error.
proc call {connection args} {
    resp::write $connection [resp::encode $args]
    set reply [resp::reply $connection]
    if {[lindex $reply 0] eq "error"} { error [lindex $reply 1] }
    return [resp::text $reply]
}

# Sends all requests (a list of argument lists) at once and returns their replies as text, in order.
proc ask_all {connection requests} {
    set bytes ""
    foreach request $requests { append bytes [resp::encode $request] }
    resp::write $connection $bytes
    return [lmap request $requests { resp::text [resp::reply $connection] }]
}

# Bytes for people: what does not print is shown as \xNN.
proc printable {bytes} {
    set shown ""
    foreach character [split $bytes ""] {
        scan $character %c code
        if {$character eq "\r"} { append shown "\\r"
        } elseif {$character eq "\n"} { append shown "\\n"
        } elseif {$code < 32 || $code > 126} { append shown [format {\x%02x} $code]
        } else { append shown $character }
    }
    return $shown
}
