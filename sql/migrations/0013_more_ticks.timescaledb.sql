-- Aggregated trades and depth on TimescaleDB: hypertables of one chunk per UTC day, as for trades.

create table raw_agg_trades (
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
    first_trade_id bigint not null,
    last_trade_id bigint not null,
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    constraint raw_agg_trades_key primary key (instrument, space, sequence, event_time),
    constraint raw_agg_trades_space_accepted check (space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'ordinal')),
    constraint raw_agg_trades_time_source_accepted check (time_source in ('venue', 'local')),
    constraint raw_agg_trades_side_accepted check (side in ('buy', 'sell')),
    constraint raw_agg_trades_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint raw_agg_trades_price_positive check (price > 0),
    constraint raw_agg_trades_size_positive check (size > 0),
    constraint raw_agg_trades_available_order check (available_at >= event_time),
    constraint raw_agg_trades_ids_order check (first_trade_id <= last_trade_id)
);
comment on table raw_agg_trades is
'Every aggregated trade as the venue reported it, once: a stream of its own, never added to raw_trades.';
comment on column raw_agg_trades.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column raw_agg_trades.space is
'Which identity `sequence` is: the venue''s trade id, its aggregate id, or the order in the source.';
comment on column raw_agg_trades.sequence is 'The venue''s id; in space `ordinal`, microseconds * 4096 + ordinal among equal times.';
comment on column raw_agg_trades.event_time is 'When the venue matched the trade. [UTC]';
comment on column raw_agg_trades.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column raw_agg_trades.time_source is 'Whose clock event_time is.';
comment on column raw_agg_trades.price is 'Price of one unit of size, exact. [quote asset]';
comment on column raw_agg_trades.size is 'Quantity, exact; contracts on inverse futures. [base asset or contracts]';
comment on column raw_agg_trades.side is 'Aggressor: who took liquidity. Null where the venue does not say.';
comment on column raw_agg_trades.conditions is 'The venue''s own remarks on the trade, sorted; null where there are none.';
comment on column raw_agg_trades.first_trade_id is 'Id of the first trade that is aggregated in it.';
comment on column raw_agg_trades.last_trade_id is 'Id of the last one; all between belong to it.';
comment on column raw_agg_trades.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column raw_agg_trades.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column raw_agg_trades.available_basis is 'Whether available_at was observed or modelled.';
comment on column raw_agg_trades.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column raw_agg_trades.batch_id is 'The batch in ingest_batches that brought it.';
grant select on raw_agg_trades to rrr_analyst;
grant select, insert, delete on raw_agg_trades to rrr_writer;

-- As on raw_trades: rows lie in time order, so a block range index finds a window at almost no cost to the load.
create index raw_agg_trades_event_time on raw_agg_trades using brin (event_time) with (pages_per_range = 32, autosummarize = on);

do $$
begin
    perform create_hypertable('raw_agg_trades', by_range('event_time', interval '1 day'), create_default_indexes => false);
end;
$$;

create table raw_depth (
    instrument text collate "C" not null,
    space text collate "C" not null,
    sequence bigint not null,
    event_time timestamptz not null,
    event_time_ns bigint,
    time_source text not null,
    message text not null,
    first_update_id bigint,
    last_update_id bigint not null,
    bids jsonb not null,
    asks jsonb not null,
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    constraint raw_depth_key primary key (instrument, space, sequence, event_time),
    constraint raw_depth_space_accepted check (space in ('update_id')),
    constraint raw_depth_time_source_accepted check (time_source in ('venue', 'local')),
    constraint raw_depth_message_accepted check (message in ('delta', 'snapshot')),
    constraint raw_depth_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint raw_depth_available_order check (available_at >= event_time)
);
comment on table raw_depth is 'Every change and snapshot of an order book as the venue reported it, once.';
comment on column raw_depth.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column raw_depth.space is 'Which identity `sequence` is: the venue''s update id.';
comment on column raw_depth.sequence is 'Twice the last update id, plus one for a snapshot: both may end at the same update.';
comment on column raw_depth.event_time is 'When the book had changed so at the venue. [UTC]';
comment on column raw_depth.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column raw_depth.time_source is 'Whose clock event_time is.';
comment on column raw_depth.message is 'Whether the levels change the book or are all of it.';
comment on column raw_depth.first_update_id is 'First update in a change; null for a snapshot.';
comment on column raw_depth.last_update_id is 'Last update in it.';
comment on column raw_depth.bids is 'Levels bid as received, [price, size] as text; size 0 removes a level.';
comment on column raw_depth.asks is 'Levels asked as received, [price, size] as text; size 0 removes a level.';
comment on column raw_depth.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column raw_depth.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column raw_depth.available_basis is 'Whether available_at was observed or modelled.';
comment on column raw_depth.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column raw_depth.batch_id is 'The batch in ingest_batches that brought it.';
grant select on raw_depth to rrr_analyst;
grant select, insert, delete on raw_depth to rrr_writer;

-- As on raw_trades: rows lie in time order, so a block range index finds a window at almost no cost to the load.
create index raw_depth_event_time on raw_depth using brin (event_time) with (pages_per_range = 32, autosummarize = on);

do $$
begin
    perform create_hypertable('raw_depth', by_range('event_time', interval '1 day'), create_default_indexes => false);
end;
$$;
