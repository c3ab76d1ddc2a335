// The entry point of the unit tests; doctest brings the command line (-tc='*name*', -ltc, -s ...).
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
