# sops keeps the secrets of a file under a transit key.
install github.com/getsops/sops/v3 3.13.3 /cmd/sops
printf 'client sops 3.13.3\n'

call POST sys/mounts/sops '{"type": "transit"}' && call POST sops/keys/first '{}' >/dev/null
call POST sops/keys/second '{"type": "chacha20-poly1305"}' >/dev/null
printf 'user: shop\npassword: hunter2\n' >"$folder/plain.yaml"
printf 'creation_rules:\n  - hc_vault_transit_uri: "%s/v1/sops/keys/first"\n' "$VAULT_ADDR" >"$folder/.sops.yaml"

sops_encrypt() {
    sops --hc-vault-transit "$VAULT_ADDR/v1/sops/keys/first" -e "$folder/plain.yaml" >"$folder/sealed.yaml" &&
        grep -q 'vault:v1:' "$folder/sealed.yaml" && ! grep -q hunter2 "$folder/sealed.yaml"
}
sops_decrypt() { sops -d "$folder/sealed.yaml" | diff - "$folder/plain.yaml"; }
# The editor is a program that changes the file that it is given.
sops_edit() {
    (cd "$folder" && EDITOR="sed -i s/hunter2/hunter3/" sops sealed.yaml) && [ "$(sops -d --extract '["password"]' "$folder/sealed.yaml")" = hunter3 ]
}
sops_rotate() {
    call POST sops/keys/first/rotate '{}' >/dev/null && sops rotate -i "$folder/sealed.yaml" &&
        grep -q 'vault:v2:' "$folder/sealed.yaml" && [ "$(sops -d --extract '["password"]' "$folder/sealed.yaml")" = hunter3 ]
}
sops_second_key() {
    sops rotate -i --add-hc-vault-transit "$VAULT_ADDR/v1/sops/keys/second" "$folder/sealed.yaml" &&
        sops rotate -i --rm-hc-vault-transit "$VAULT_ADDR/v1/sops/keys/first" "$folder/sealed.yaml" &&
        sops -d "$folder/sealed.yaml" | grep hunter3 >/dev/null && ! grep -q keys/first "$folder/sealed.yaml"
}
sops_refused() {
    local said
    ! said=$(VAULT_TOKEN=hvs.none sops -d "$folder/sealed.yaml" 2>&1) && [[ $said = *"permission denied"* ]]
}
# Over TLS, from a server whose authority only this machine knows.
sops_tls() {
    export VAULT_CACERT=$COMPAT_TLS_CACERT
    VAULT_ADDR=$COMPAT_TLS_ADDR call POST sys/mounts/sops '{"type": "transit"}'
    sops --hc-vault-transit "$COMPAT_TLS_ADDR/v1/sops/keys/first" -e "$folder/plain.yaml" >"$folder/tls.yaml" &&
        sops -d "$folder/tls.yaml" | diff - "$folder/plain.yaml" && ! VAULT_CACERT='' sops -d "$folder/tls.yaml"
}

check transit "a file is encrypted" sops_encrypt
check transit "the file is decrypted" sops_decrypt
check transit "the file is edited" sops_edit
check transit "the key is rotated, and the file with it" sops_rotate
check transit "the file moves to another key" sops_second_key
check errors "403 is told" sops_refused
check tls "a file is encrypted over TLS, and only where the authority is trusted" sops_tls
