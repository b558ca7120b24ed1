# What `go test -v` says, in the words of report.rs; what is no result is for people.
/^=== / || /^PASS$/ || /^ok / { next }
/^ *--- (PASS|FAIL|SKIP): / {
    name = $3
    sub(/^Test/, "", name)
    match(name, /^(KV1|KV2|TLS|[A-Z][a-z]+)/)
    area = tolower(substr(name, 1, RLENGTH))
    print ($2 == "PASS:" ? "ok" : $2 == "FAIL:" ? "FAIL" : "SKIP"), area ": " name
    next
}
{ print }
