# Disks of nodes that fail, are full or stand still, as a process sees them: bad_disk.cc stands before the C library of every node
# that is started after bad_disk::prepare.

namespace eval bad_disk {}

# To be called first in a test. Other tests' nodes have nothing of it.
proc bad_disk::prepare {} {
    set node::launcher [list env LD_PRELOAD=[compiled bad_disk.cc bad_disk.so {-shared -fPIC}]]
    # Its sanitizer would be the first of all libraries.
    if {$sanitizer::name eq "address"} { lappend node::launcher "ASAN_OPTIONS=$::env(ASAN_OPTIONS):verify_asan_link_order=0" }
}

# From now on, what befalls files in the node's directory: {sync fails raft.db-wal} and so on; nothing: the disk is sound.
proc bad_disk {name args} {
    file mkdir $node::dir($name)
    set path [file join $node::dir($name) bad-disk]
    write_file $path.new [join [lmap line $args { set _ "$line\n" }] ""]
    file rename -force $path.new $path
}

# Until the node ended because of its disk, with status 70 and a last line that matches. It may be started again.
proc wait_disk_end {name pattern} {
    set node::expected_end($name) 1
    assert_equal [process::wait_end $node::pid($name) 15000] "exit 70" "$name: [last_words $name]"
    assert_disk_sentence [errors_of $name] $pattern
    drop_control $name
}

proc assert_disk_sentence {errors pattern} {
    assert_match [lindex [split [string trim $errors] \n] end] "leto: $pattern; ending now, nothing that was not durable is announced"
}
