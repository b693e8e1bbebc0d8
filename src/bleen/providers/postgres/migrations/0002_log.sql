-- The Merkle log over the ledger (RFC 6962), and the rights of a role that can append and nothing else.

create table bleen.leaves (
    -- Counts from 0, without a gap.
    leaf     bigint primary key,
    sequence bigint not null unique,
    -- The hash of the leaf and, behind it, those of the nodes that it completes, from low to high: the node
    -- (level, place) is kept with leaf ((place + 1) << level) - 1, so that an append writes one row.
    hashes   bytea not null
);

create table bleen.checkpoints (
    size bigint primary key,
    at   timestamptz not null default clock_timestamp(),
    -- A signed note: c2sp.org/tlog-checkpoint.
    note text not null
);

create function bleen.netstring(text) returns text language sql immutable as $$
    select octet_length($1) || ':' || $1 || ','
$$;

-- What is hashed of an entry. domain/audit.py spells it the same way.
create function bleen.leaf_content(e bleen.entries) returns bytea language sql stable as $$
    select convert_to(
        bleen.netstring(e.sequence::text)
        || bleen.netstring((extract(epoch from e.at) * 1000000)::bigint::text)
        || bleen.netstring(e.key) || bleen.netstring(e.environment) || bleen.netstring(e.service)
        || bleen.netstring(e.rollout) || bleen.netstring(e.kind) || bleen.netstring(e.by) || bleen.netstring(e.body),
        'UTF8')
$$;

create function bleen.append_leaf(e bleen.entries) returns void language plpgsql as $$
declare
    leaf_   bigint;
    place_  bigint;
    level_  integer := 0;
    left_   bytea;
    hash_   bytea := sha256('\x00'::bytea || bleen.leaf_content(e));
    hashes_ bytea := hash_;
begin
    select coalesce(max(leaf) + 1, 0) into leaf_ from bleen.leaves;
    place_ := leaf_;
    while place_ & 1 = 1 loop
        select substring(hashes from level_ * 32 + 1 for 32) into strict left_
            from bleen.leaves where leaf = (place_ << level_) - 1;
        hash_ := sha256('\x01'::bytea || left_ || hash_);
        hashes_ := hashes_ || hash_;
        level_ := level_ + 1;
        place_ := place_ >> 1;
    end loop;
    insert into bleen.leaves (leaf, sequence, hashes) values (leaf_, e.sequence, hashes_);
end $$;

-- The entries of before become leaves in their order. No append is under way meanwhile, or it would have no leaf.
lock table bleen.entries in share row exclusive mode;
insert into bleen.leaves (leaf, sequence, hashes)
    select row_number() over (order by sequence) - 1, sequence, sha256('\x00'::bytea || bleen.leaf_content(e))
    from bleen.entries e;
do $$
declare
    level_ integer := 1;
begin
    loop
        update bleen.leaves r
            set hashes = r.hashes || sha256('\x01'::bytea || substring(l.hashes from (level_ - 1) * 32 + 1 for 32)
                || substring(r.hashes from (level_ - 1) * 32 + 1 for 32))
            from bleen.leaves l
            where (r.leaf + 1) % (1::bigint << level_) = 0 and l.leaf = r.leaf - (1::bigint << (level_ - 1));
        exit when not found;
        level_ := level_ + 1;
    end loop;
end $$;

create trigger append_only before update or delete or truncate on bleen.leaves
    for each statement execute function bleen.refuse_change();
create trigger append_only before update or delete or truncate on bleen.checkpoints
    for each statement execute function bleen.refuse_change();

-- An append and its leaf are one transaction. All appends wait for each other until they are committed: a log has one
-- order, and no entry becomes visible after one with a larger sequence.
create or replace function bleen.append(
    key_ text, environment_ text, service_ text, rollout_ text, kind_ text, by_ text, body_ text
) returns bleen.entries language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    entry bleen.entries;
begin
    select * into entry from bleen.entries where key = key_;
    if found then
        return entry;
    end if;
    perform pg_advisory_xact_lock(hashtext('bleen.entries'), 0);
    select * into entry from bleen.entries where key = key_;
    if found then
        return entry;
    end if;
    insert into bleen.entries (key, environment, service, rollout, kind, by, body)
        values (key_, environment_, service_, rollout_, kind_, by_, body_)
        returning * into entry;
    perform bleen.append_leaf(entry);
    return entry;
end $$;

alter function bleen.make_release(text, text, text) security definer set search_path = pg_catalog, pg_temp;

create function bleen.seal(size_ bigint, note_ text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    insert into bleen.checkpoints (size, note) values (size_, note_) on conflict (size) do nothing;
end $$;

revoke execute on all functions in schema bleen from public;

create index entries_kind on bleen.entries (kind, sequence);
create index entries_by on bleen.entries (by, sequence) where by <> '';
