-- The ledger: entries and releases, appended and never changed.

create table bleen.entries (
    sequence    bigint generated always as identity primary key,
    at          timestamptz not null default clock_timestamp(),
    key         text not null unique,
    environment text not null,
    service     text not null,
    rollout     text not null,
    kind        text not null,
    by          text not null,
    -- The canonical JSON of the event. Text, because jsonb refuses the character NUL and forgets the spelling of
    -- numbers; body::jsonb works for whatever has no NUL.
    body        text not null
);
create index entries_service on bleen.entries (service, sequence);
create index entries_service_kind on bleen.entries (service, kind, sequence);
create index entries_rollout on bleen.entries (rollout, sequence) where rollout <> '';

create table bleen.releases (
    service text not null,
    number  integer not null check (number > 0),
    at      timestamptz not null default clock_timestamp(),
    -- The digest of what two equal releases share.
    content text not null,
    body    text not null,
    primary key (service, number),
    unique (service, content)
);

create function bleen.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception using
        errcode = 'BL001',
        message = format('the ledger is append-only: %s of bleen.%s is refused', tg_op, tg_table_name),
        hint = 'Append an entry that says what is true now.';
end $$;

create trigger append_only before update or delete or truncate on bleen.entries
    for each statement execute function bleen.refuse_change();
create trigger append_only before update or delete or truncate on bleen.releases
    for each statement execute function bleen.refuse_change();

-- Appends for one service wait for each other until they are committed, so that a later one never has a smaller
-- sequence: sequences fence splits. Across services, a smaller sequence may become visible after a larger one.
create function bleen.append(
    key_ text, environment_ text, service_ text, rollout_ text, kind_ text, by_ text, body_ text
) returns bleen.entries language plpgsql as $$
declare
    entry bleen.entries;
begin
    perform pg_advisory_xact_lock(hashtext('bleen.entries'), hashtext(environment_ || '/' || service_));
    select * into entry from bleen.entries where key = key_;
    if found then
        return entry;
    end if;
    insert into bleen.entries (key, environment, service, rollout, kind, by, body)
        values (key_, environment_, service_, rollout_, kind_, by_, body_)
        on conflict (key) do nothing
        returning * into entry;
    if not found then
        -- The same key under another service, committed since the look above.
        select * into strict entry from bleen.entries where key = key_;
    end if;
    return entry;
end $$;

create function bleen.make_release(service_ text, content_ text, body_ text)
returns bleen.releases language plpgsql as $$
declare
    made bleen.releases;
begin
    perform pg_advisory_xact_lock(hashtext('bleen.releases'), hashtext(service_));
    select * into made from bleen.releases where service = service_ and content = content_;
    if found then
        return made;
    end if;
    insert into bleen.releases (service, number, content, body)
        select service_, coalesce(max(number), 0) + 1, content_, body_ from bleen.releases where service = service_
        returning * into made;
    return made;
end $$;
