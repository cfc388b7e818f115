-- What each instrument's bars are made from, and which days wait to be refreshed, without reading the log of all changes.

alter table instruments add constraint instruments_bars_stream_accepted check (bars_stream in ('trades', 'agg_trades'));
comment on column instruments.bars_stream is 'The one declared stream that the instrument''s bars come from: trades or agg_trades.';

create view bar_sources as
select
    i.instrument,
    i.bars_stream as stream,
    'raw_' || i.bars_stream as relation
from instruments as i
where i.valid_to is null;
comment on view bar_sources is 'The stream and the table that each instrument''s bars are made from, as declared now.';
grant select on bar_sources to rrr_analyst, rrr_writer;

create table invalidation_days (
    relation text collate "C" not null,
    instrument text collate "C" not null,
    day date not null,
    last_id bigint not null,
    last_logged_at timestamptz not null,
    constraint invalidation_days_key primary key (relation, instrument, day)
);
comment on table invalidation_days is
'The last entry of the invalidation log of each relation, instrument and day: what lags behind is found without it.';
comment on column invalidation_days.relation is 'The table that changed.';
comment on column invalidation_days.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column invalidation_days.day is 'The day. [UTC day]';
comment on column invalidation_days.last_id is 'The last invalidation_id of it.';
comment on column invalidation_days.last_logged_at is 'When that was. [UTC]';
grant select on invalidation_days to rrr_analyst;
grant select, insert, update on invalidation_days to rrr_writer;

insert into invalidation_days (relation, instrument, day, last_id, last_logged_at)
select
    l.relation,
    l.instrument,
    l.day,
    max(l.invalidation_id),
    max(l.logged_at)
from invalidation_log as l
group by l.relation, l.instrument, l.day;

create function note_invalidation_days() returns trigger
language plpgsql
as $$
begin
    insert into invalidation_days (relation, instrument, day, last_id, last_logged_at)
    select n.relation, n.instrument, n.day, max(n.invalidation_id), max(n.logged_at)
    from noted as n
    group by n.relation, n.instrument, n.day
    on conflict (relation, instrument, day) do update
        set
            last_id = greatest(invalidation_days.last_id, excluded.last_id),
            last_logged_at = greatest(invalidation_days.last_logged_at, excluded.last_logged_at);
    return null;
end;
$$;
comment on function note_invalidation_days() is 'Keeps invalidation_days in step with the log, once a statement.';

create trigger invalidation_log_days
after insert on invalidation_log
referencing new table as noted
for each statement execute function note_invalidation_days();
