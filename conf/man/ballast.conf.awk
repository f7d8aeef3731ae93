# ballast.conf(5), made of the comments of ballast.conf: awk -f ballast.conf.awk ballast.conf
#
# A comment that ends in `key = value` describes those options; any other is text of its section,
# also where it stands between the banner and the [name]. The items of a list look like this, and a
# line further to the right goes on with the one above:
#   # Term: meaning      at the head of the file
#   #   term  meaning    below

BEGIN {
    print ".TH BALLAST.CONF 5 \"\" \"Ballast\" \"File Formats\"\n.ad l\n.nh"
    print ".SH NAME\nballast.conf \\- configuration of ballastd and ballast"
    print ".SH DESCRIPTION\nWithout\n.B \\-c\nthe programs read"
    print ".IR /etc/ballast/ballast.conf ,\nif it exists."
    print "Every option has a default; the example that comes with Ballast holds all of them."
    print ".B ballastd \\-\\-check\\-config\nsays whether a file is good: an unknown option,"
    print "a bad value or a bad unit is an error with its line, and the daemon does not start"
    print "(exit status 78)."
}

function hyphens_escape(text) {
    gsub(/-/, "\\-", text)
    return text
}

# A line of text: what stands between backticks is bold, and nothing is taken for a request.
function text_line(text,    parts, count, i, out) {
    gsub(/\\/, "\\e", text)
    count = split(text, parts, "`")
    out = parts[1]
    for (i = 2; i <= count; i++) {
        out = out (i % 2 == 0 ? "\\fB" hyphens_escape(parts[i]) : "\\fR" parts[i])
    }
    return (out ~ /^[.']/ ? "\\&" : "") out "\n"
}

function is_term(line) {
    return beyond_head ? line ~ /^  [a-z]+  / : line ~ /^[A-Z][a-z ]*: /
}

function term_lines(line) {
    sub(/^ +/, "", line)
    match(line, /: +|  +/)
    return ".TP\n\\fB" substr(line, 1, RSTART - 1) "\\fR\n" \
        text_line(substr(line, RSTART + RLENGTH))
}

# The lines of the comment from `first` to `last`; `paragraph` is the request between two of them.
function text_lines(first, last, paragraph,    i, line, in_list, broken, out) {
    for (i = first; i <= last; i++) {
        line = lines[i]
        if (line == "") {
            broken = 1
            continue
        }
        if (is_term(line)) {
            out = out (in_list ? "" : ".RS\n") term_lines(line)
            in_list = 1
        } else if (in_list && line ~ /^ /) {
            sub(/^ +/, "", line)
            out = out text_line(line)
        } else {
            out = out (in_list ? ".RE\n" : "") (broken ? paragraph "\n" : "") text_line(line)
            in_list = 0
        }
        broken = 0
    }
    return out (in_list ? ".RE\n" : "")
}

# "\fBname\fR = default", as it stands in the file.
function option_line(line,    at) {
    at = index(line, " =")
    return "\\fB" hyphens_escape(substr(line, 1, at - 1)) "\\fR" hyphens_escape(substr(line, at))
}

# Of the head of the file only the list: the rest is said above.
function head_ends(    first) {
    for (first = 1; first <= count && !is_term(lines[first]); first++) {
    }
    printf "%s", text_lines(first, count, ".PP")
}

function comment_ends(    first, i) {
    for (first = count + 1; first > 1 && lines[first - 1] ~ /^[a-z][a-z-]* =( |$)/; first--) {
    }
    if (first <= count) {
        for (i = first; i <= count; i++) {
            print (i == first ? ".TP\n" : ".TQ\n") option_line(lines[i])
        }
        printf "%s", text_lines(1, first - 1, ".IP")
    } else if (in_section) {
        printf ".PP\n%s", text_lines(1, count, ".PP")
    } else {
        section_text = text_lines(1, count, ".PP")
    }
}

function lines_end() {
    if (!beyond_head) {
        head_ends()
    } else if (count > 0) {
        comment_ends()
    }
    count = 0
}

/^####/ {
    beyond_head = 1
    in_section = 0
    section_text = ""
    next
}

/^#/ {
    sub(/^# ?/, "")
    lines[++count] = $0
    next
}

{
    lines_end()
}

/^\[/ {
    in_section = 1
    printf ".SH %s\n%s", $0, section_text
}

END {
    lines_end()
    print ".SH SEE ALSO\n.BR ballastd (8),\n.BR ballast (1)"
}
