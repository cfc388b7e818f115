-- Where the rows of one file's day wait to be judged against what is stored.
create temporary table if not exists incoming (
    line bigint not null,
    instrument text collate "C" not null,
    space text collate "C" not null,
    sequence bigint not null,
    event_time timestamptz not null,
    event_time_ns bigint,
    time_source text not null,
    price numeric not null,
    size numeric not null,
    side text,
    conditions text[],
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null
) on commit drop;
truncate incoming;
drop table if exists judged;
