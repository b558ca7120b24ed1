# consul-template writes files from secrets, and keeps its token alive.
install github.com/hashicorp/consul-template 0.41.1
printf 'client consul-template 0.41.1\n'

call POST secret/data/shop '{"data": {"password": "hunter2"}}' >/dev/null
call POST sys/mounts/plain '{"type": "kv"}' && call POST plain/shop '{"password": "hunter4", "ttl": "1s"}'
call POST sys/mounts/ct '{"type": "transit"}'

# template TEXT: what becomes of it.
template() {
    printf '%s' "$1" >"$folder/in.ctmpl"
    consul-template -once -vault-renew-token=false -vault-retry=false -template "$folder/in.ctmpl:$folder/out" && cat "$folder/out"
}
ct_versions() { [ "$(template '{{ with secret "secret/shop" }}{{ .Data.data.password }}{{ end }}')" = hunter2 ]; }
ct_plain() { [ "$(template '{{ with secret "plain/shop" }}{{ .Data.password }}{{ end }}')" = hunter4 ]; }
ct_list() { [ "$(template '{{ range secrets "secret/" }}{{ . }}{{ end }}')" = shop ]; }
ct_transit() {
    [[ $(template '{{ with secret "ct/encrypt/k" "plaintext=aGVsbG8=" }}{{ .Data.ciphertext }}{{ end }}') = vault:v1:* ]]
}
ct_wrapped() {
    local wrapped
    wrapped=$(curl -sS -H "X-Vault-Token: $VAULT_TOKEN" -H 'X-Vault-Wrap-TTL: 60' -d '{"policies": ["root"]}' \
        "$VAULT_ADDR/v1/auth/token/create" | grep -o '"token":"[^"]*' | cut -d '"' -f 4)
    printf '{{ with secret "secret/shop" }}{{ .Data.data.password }}{{ end }}' >"$folder/in.ctmpl"
    VAULT_TOKEN=$wrapped consul-template -once -vault-unwrap-token -vault-renew-token=false \
        -template "$folder/in.ctmpl:$folder/out" && [ "$(cat "$folder/out")" = hunter2 ]
}

# Left running with a token of a few seconds, it renews it, and writes the file anew when the secret is due.
ct_lives() {
    local token pid
    token=$(call POST auth/token/create '{"policies": ["root"], "period": "3s"}' | grep -o '"client_token":"[^"]*' | cut -d '"' -f 4)
    printf '{{ with secret "plain/shop" }}{{ .Data.password }}{{ end }}' >"$folder/in.ctmpl"
    VAULT_TOKEN=$token consul-template -template "$folder/in.ctmpl:$folder/lives" >"$folder/log" 2>&1 &
    pid=$!
    for _ in $(seq 100); do
        grep -qs hunter4 "$folder/lives" && break
        sleep 0.1
    done
    call POST plain/shop '{"password": "hunter5", "ttl": "1s"}'
    for _ in $(seq 100); do
        grep -qs hunter5 "$folder/lives" && break
        sleep 0.1
    done
    for _ in $(seq 100); do
        renewed=$(call POST auth/token/lookup "{\"token\": \"$token\"}" | grep -o '"last_renewal_time":[0-9]*')
        [ -n "$renewed" ] && break
        sleep 0.1
    done
    kill -INT "$pid"
    wait "$pid" 2>/dev/null
    [ -n "$renewed" ] && [ "$(cat "$folder/lives")" = hunter5 ] || { cat "$folder/log" && false; }
}
ct_refused() {
    local said
    ! said=$(VAULT_TOKEN=hvs.none template '{{ with secret "secret/shop" }}{{ end }}' 2>&1) &&
        [[ $said = *"permission denied"* ]]
}
ct_tls() {
    VAULT_ADDR=$COMPAT_TLS_ADDR call POST secret/data/shop '{"data": {"password": "hunter6"}}' >/dev/null
    export VAULT_ADDR=$COMPAT_TLS_ADDR
    local asks='{{ with secret "secret/shop" }}{{ .Data.data.password }}{{ end }}'
    [ "$(VAULT_CACERT=$COMPAT_TLS_CACERT template "$asks")" = hunter6 ] && ! template "$asks"
}

check kv2 "a secret with versions is written into a file" ct_versions
check kv1 "a secret without versions is written into a file" ct_plain
check kv2 "names are listed" ct_list
check transit "something is encrypted on the way" ct_transit
check wrapping "the token comes wrapped" ct_wrapped
check token "the token is renewed, and the file is kept up to date" ct_lives
check errors "403 ends it" ct_refused
check tls "a secret comes over TLS, and only where the authority is trusted" ct_tls
