-- Trades on TimescaleDB: a hypertable of one chunk per UTC day, made by the database when the day first arrives.

create table raw_trades (
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
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    constraint raw_trades_key primary key (instrument, space, sequence, event_time),
    constraint raw_trades_space_accepted check (space in ('trade_id', 'aggregate_id', 'ordinal')),
    constraint raw_trades_time_source_accepted check (time_source in ('venue', 'local')),
    constraint raw_trades_side_accepted check (side in ('buy', 'sell')),
    constraint raw_trades_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint raw_trades_price_positive check (price > 0),
    constraint raw_trades_size_positive check (size > 0),
    constraint raw_trades_available_order check (available_at >= event_time)
);
comment on table raw_trades is 'Every trade as the venue reported it, once. Current rows only: what was replaced is in trade_revisions.';
comment on column raw_trades.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column raw_trades.space is 'Which identity `sequence` is: the venue''s trade id, its aggregate id, or the order in the source.';
comment on column raw_trades.sequence is 'The venue''s id; in space `ordinal`, microseconds * 4096 + ordinal among equal times.';
comment on column raw_trades.event_time is 'When the venue matched the trade. [UTC]';
comment on column raw_trades.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column raw_trades.time_source is 'Whose clock event_time is.';
comment on column raw_trades.price is 'Price of one unit of size, exact. [quote asset]';
comment on column raw_trades.size is 'Quantity, exact; contracts on inverse futures. [base asset or contracts]';
comment on column raw_trades.side is 'Aggressor: who took liquidity. Null where the venue does not say.';
comment on column raw_trades.conditions is 'The venue''s own remarks on the trade, sorted; null where there are none.';
comment on column raw_trades.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column raw_trades.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column raw_trades.available_basis is 'Whether available_at was observed or modelled.';
comment on column raw_trades.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column raw_trades.batch_id is 'The batch in ingest_batches that brought it.';
grant select on raw_trades to rrr_analyst;
grant select, insert, delete on raw_trades to rrr_writer;

-- Rows of an instrument lie together and in time order, so a block range index finds a window at almost no cost to the load.
create index raw_trades_event_time on raw_trades using brin (event_time) with (pages_per_range = 32, autosummarize = on);

do $$
begin
    perform create_hypertable('raw_trades', by_range('event_time', interval '1 day'), create_default_indexes => false);
end;
$$;
