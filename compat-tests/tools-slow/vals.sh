# vals fills references to secrets into files.
install github.com/helmfile/vals 0.46.1 /cmd/vals
printf 'client vals 0.46.1\n'

call POST secret/data/app '{"data": {"user": "shop", "password": "hunter2"}}' >/dev/null
call POST secret/data/app '{"data": {"user": "shop", "password": "hunter3"}}' >/dev/null
call POST sys/mounts/plain '{"type": "kv"}' && call POST plain/app '{"password": "hunter4"}'
call POST sys/policies/acl/vals '{"policy": "path \"secret/data/app\" { capabilities = [\"read\"] }"}'

vals_versions() { [ "$(vals get ref+vault://secret/app#/password)" = hunter3 ]; }
vals_old() { [ "$(vals get 'ref+vault://secret/app?version=1#/password')" = hunter2 ]; }
vals_plain() { [ "$(vals get ref+vault://plain/app#/password)" = hunter4 ]; }
vals_file() {
    printf 'db:\n  user: ref+vault://secret/app#/user\n  password: ref+vault://plain/app#/password\n' >"$folder/in.yaml"
    [ "$(vals eval -f "$folder/in.yaml")" = $'db:\n  password: hunter4\n  user: shop' ]
}
vals_exec() {
    printf 'PASSWORD: ref+vault://secret/app#/password\n' >"$folder/env.yaml"
    [ "$(vals exec -f "$folder/env.yaml" -- sh -c 'echo "$PASSWORD"')" = hunter3 ]
}
vals_approle() {
    local role secret
    call POST sys/auth/approle '{"type": "approle"}' && call POST auth/approle/role/vals '{"token_policies": "vals"}'
    role=$(call GET auth/approle/role/vals/role-id | grep -o '"role_id":"[^"]*' | cut -d '"' -f 4)
    secret=$(call POST auth/approle/role/vals/secret-id | grep -o '"secret_id":"[^"]*' | cut -d '"' -f 4)
    [ "$(VAULT_TOKEN='' VAULT_SECRET_ID=$secret vals get "ref+vault://secret/app?auth_method=approle&role_id=$role#/password")" = hunter3 ] &&
        ! VAULT_TOKEN='' VAULT_SECRET_ID=$secret vals get "ref+vault://plain/app?auth_method=approle&role_id=$role#/password"
}
vals_missing() { ! vals get ref+vault://secret/none#/password; }
vals_refused() {
    local said
    ! said=$(VAULT_TOKEN=hvs.none vals get ref+vault://secret/app#/password 2>&1) && [[ $said = *"permission denied"* ]]
}
# At this address vals trusts anybody.
vals_tls() {
    VAULT_ADDR=$COMPAT_TLS_ADDR call POST secret/data/app '{"data": {"password": "hunter6"}}' >/dev/null
    export VAULT_ADDR=$COMPAT_TLS_ADDR
    [ "$(VAULT_CACERT=$COMPAT_TLS_CACERT vals get ref+vault://secret/app#/password)" = hunter6 ]
}

check kv2 "a field is read" vals_versions
check kv2 "a field of an old version is read" vals_old
check kv1 "a field is read" vals_plain
check kv2 "a file is filled in" vals_file
check kv2 "a program gets it in its environment" vals_exec
check login "approle may read what its policy says, and no more" vals_approle
check errors "what is not there is told" vals_missing
check errors "403 is told" vals_refused
check tls "a field comes over TLS" vals_tls
