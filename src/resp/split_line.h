// Splits a line into words by Redis's quoting rules: those of inline commands and of configuration files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace leto::resp {

// Words are separated by white space. "..." understands \n \r \t \b \a \xHH and \c for any other c;
// '...' understands \' alone; after a closing quote the word must end. Replaces `words`, none for a
// blank line. False if quotes are unbalanced: `words` is then of no use.
bool split_line(std::string_view line, std::vector<std::string>& words);

}  // namespace leto::resp
