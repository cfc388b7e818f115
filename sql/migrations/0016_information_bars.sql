-- Bars by what was traded, in ticks, volume and quote volume, and the rules by which they are cut.

create table bar_rules (
    scope text collate "C" not null,
    rule text collate "C" not null,
    kind text not null,
    threshold numeric not null,
    declared_at timestamptz not null,
    withdrawn_at timestamptz,
    constraint bar_rules_key primary key (scope, rule, declared_at),
    constraint bar_rules_kind_accepted check (kind in ('tick', 'volume', 'dollar')),
    constraint bar_rules_scope_form check (scope = '*' or scope ~ '^[a-z0-9-]+:([*]|[A-Z0-9]+)$'),
    constraint bar_rules_threshold_range check (threshold > 0 and threshold < 'infinity'),
    constraint bar_rules_threshold_of_ticks check (kind <> 'tick' or threshold = trunc(threshold)),
    constraint bar_rules_name check (rule = kind || '-' || trim_scale(threshold)::text),
    constraint bar_rules_declared_order check (declared_at < withdrawn_at)
);
comment on table bar_rules is
'By which rules bars are cut. Of each kind those of the narrowest scope hold: the instrument''s own, else its venue''s, else those of all. A rule is never changed: it is withdrawn and another one declared.';
comment on column bar_rules.scope is 'Whose bars: * for every instrument, venue:* for a venue''s, or an instrument''s name.';
comment on column bar_rules.rule is 'Its name, kind and threshold in one, as in dollar-1000000.';
comment on column bar_rules.kind is 'What is counted.';
comment on column bar_rules.threshold is 'What a bar is cut at: trades, quantity or quote volume, as the kind says.';
comment on column bar_rules.declared_at is 'When it was declared; it holds for every day, also those before. [UTC]';
comment on column bar_rules.withdrawn_at is 'When it was withdrawn; null while it holds. [UTC]';
grant select on bar_rules to rrr_analyst;
grant select, insert, update on bar_rules to rrr_writer;

-- In a scope a rule is declared once at a time.
create unique index bar_rules_current on bar_rules (scope, rule) where withdrawn_at is null;

-- A quantity that suits one instrument suits no other: rules of volume are declared by instrument.
insert into bar_rules (scope, rule, kind, threshold, declared_at) values
('*', 'tick-1000', 'tick', 1000, now()),
('*', 'dollar-1000000', 'dollar', 1000000, now());

create table bars_tick (
    instrument text collate "C" not null,
    day date not null,
    rule text collate "C" not null,
    bar_index bigint not null,
    bar_start timestamptz not null,
    bar_end timestamptz not null,
    threshold numeric not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric not null,
    vwap numeric,
    trade_count bigint not null,
    taker_buy_volume numeric not null,
    taker_buy_quote_volume numeric not null,
    first_sequence bigint not null,
    last_sequence bigint not null,
    is_full boolean not null,
    is_complete boolean not null,
    known_at timestamptz not null,
    constraint bars_tick_key primary key (instrument, day, rule, bar_index),
    constraint bars_tick_bounds check (low <= least(open, close) and high >= greatest(open, close)),
    constraint bars_tick_order check (bar_start < bar_end or (bar_start = bar_end and first_sequence <= last_sequence)),
    constraint bars_tick_of_one_day check (day = (bar_start at time zone 'UTC')::date and day = (bar_end at time zone 'UTC')::date)
);
comment on table bars_tick is
'One row per instrument, rule, day and bar of trades, cut when the day''s running total of trades comes to or past the next multiple of the rule''s threshold. Exact; no trade is split, and no bar spans midnight.';
comment on column bars_tick.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_tick.day is 'The day whose trades it is made of. [UTC day]';
comment on column bars_tick.rule is 'The rule by which it was cut, as in tick-1000: kind and threshold.';
comment on column bars_tick.bar_index is
'Whole thresholds that were traded that day before its first trade, from 0; a trade that spans several leaves some out.';
comment on column bars_tick.bar_start is 'event_time of its first trade by (event_time, sequence). [UTC]';
comment on column bars_tick.bar_end is 'event_time of its last trade, which belongs to it. [UTC]';
comment on column bars_tick.threshold is 'What the rule cuts at. [trades]';
comment on column bars_tick.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_tick.high is 'Highest price. [quote asset]';
comment on column bars_tick.low is 'Lowest price. [quote asset]';
comment on column bars_tick.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_tick.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_tick.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_tick.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_tick.trade_count is 'Number of trades. [trades]';
comment on column bars_tick.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_tick.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_tick.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_tick.last_sequence is 'Sequence of the trade that gave close.';
comment on column bars_tick.is_full is 'Its last trade reached the threshold; only a day''s last bar can be short.';
comment on column bars_tick.is_complete is
'From midnight to its end, or of a short bar to the day''s end, nothing is missing from the tape that is not accepted.';
comment on column bars_tick.known_at is 'When the platform could first serve these values. [UTC]';
grant select on bars_tick to rrr_analyst;
grant select, insert, update, delete on bars_tick to rrr_writer;

create index bars_tick_day on bars_tick using brin (day);

create table bars_volume (
    instrument text collate "C" not null,
    day date not null,
    rule text collate "C" not null,
    bar_index bigint not null,
    bar_start timestamptz not null,
    bar_end timestamptz not null,
    threshold numeric not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric not null,
    vwap numeric,
    trade_count bigint not null,
    taker_buy_volume numeric not null,
    taker_buy_quote_volume numeric not null,
    first_sequence bigint not null,
    last_sequence bigint not null,
    is_full boolean not null,
    is_complete boolean not null,
    known_at timestamptz not null,
    constraint bars_volume_key primary key (instrument, day, rule, bar_index),
    constraint bars_volume_bounds check (low <= least(open, close) and high >= greatest(open, close)),
    constraint bars_volume_order check (bar_start < bar_end or (bar_start = bar_end and first_sequence <= last_sequence)),
    constraint bars_volume_of_one_day check (day = (bar_start at time zone 'UTC')::date and day = (bar_end at time zone 'UTC')::date)
);
comment on table bars_volume is
'One row per instrument, rule, day and bar of trades, cut when the day''s running total of base asset or contracts comes to or past the next multiple of the rule''s threshold. Exact; no trade is split, and no bar spans midnight.';
comment on column bars_volume.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_volume.day is 'The day whose trades it is made of. [UTC day]';
comment on column bars_volume.rule is 'The rule by which it was cut, as in volume-1000: kind and threshold.';
comment on column bars_volume.bar_index is
'Whole thresholds that were traded that day before its first trade, from 0; a trade that spans several leaves some out.';
comment on column bars_volume.bar_start is 'event_time of its first trade by (event_time, sequence). [UTC]';
comment on column bars_volume.bar_end is 'event_time of its last trade, which belongs to it. [UTC]';
comment on column bars_volume.threshold is 'What the rule cuts at. [base asset or contracts]';
comment on column bars_volume.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_volume.high is 'Highest price. [quote asset]';
comment on column bars_volume.low is 'Lowest price. [quote asset]';
comment on column bars_volume.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_volume.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_volume.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_volume.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_volume.trade_count is 'Number of trades. [trades]';
comment on column bars_volume.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_volume.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_volume.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_volume.last_sequence is 'Sequence of the trade that gave close.';
comment on column bars_volume.is_full is 'Its last trade reached the threshold; only a day''s last bar can be short.';
comment on column bars_volume.is_complete is
'From midnight to its end, or of a short bar to the day''s end, nothing is missing from the tape that is not accepted.';
comment on column bars_volume.known_at is 'When the platform could first serve these values. [UTC]';
grant select on bars_volume to rrr_analyst;
grant select, insert, update, delete on bars_volume to rrr_writer;

create index bars_volume_day on bars_volume using brin (day);

create table bars_dollar (
    instrument text collate "C" not null,
    day date not null,
    rule text collate "C" not null,
    bar_index bigint not null,
    bar_start timestamptz not null,
    bar_end timestamptz not null,
    threshold numeric not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric not null,
    vwap numeric,
    trade_count bigint not null,
    taker_buy_volume numeric not null,
    taker_buy_quote_volume numeric not null,
    first_sequence bigint not null,
    last_sequence bigint not null,
    is_full boolean not null,
    is_complete boolean not null,
    known_at timestamptz not null,
    constraint bars_dollar_key primary key (instrument, day, rule, bar_index),
    constraint bars_dollar_bounds check (low <= least(open, close) and high >= greatest(open, close)),
    constraint bars_dollar_order check (bar_start < bar_end or (bar_start = bar_end and first_sequence <= last_sequence)),
    constraint bars_dollar_of_one_day check (day = (bar_start at time zone 'UTC')::date and day = (bar_end at time zone 'UTC')::date)
);
comment on table bars_dollar is
'One row per instrument, rule, day and bar of trades, cut when the day''s running total of quote asset comes to or past the next multiple of the rule''s threshold. Exact; no trade is split, and no bar spans midnight.';
comment on column bars_dollar.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_dollar.day is 'The day whose trades it is made of. [UTC day]';
comment on column bars_dollar.rule is 'The rule by which it was cut, as in dollar-1000: kind and threshold.';
comment on column bars_dollar.bar_index is
'Whole thresholds that were traded that day before its first trade, from 0; a trade that spans several leaves some out.';
comment on column bars_dollar.bar_start is 'event_time of its first trade by (event_time, sequence). [UTC]';
comment on column bars_dollar.bar_end is 'event_time of its last trade, which belongs to it. [UTC]';
comment on column bars_dollar.threshold is 'What the rule cuts at. [quote asset]';
comment on column bars_dollar.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_dollar.high is 'Highest price. [quote asset]';
comment on column bars_dollar.low is 'Lowest price. [quote asset]';
comment on column bars_dollar.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_dollar.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_dollar.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_dollar.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_dollar.trade_count is 'Number of trades. [trades]';
comment on column bars_dollar.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_dollar.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_dollar.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_dollar.last_sequence is 'Sequence of the trade that gave close.';
comment on column bars_dollar.is_full is 'Its last trade reached the threshold; only a day''s last bar can be short.';
comment on column bars_dollar.is_complete is
'From midnight to its end, or of a short bar to the day''s end, nothing is missing from the tape that is not accepted.';
comment on column bars_dollar.known_at is 'When the platform could first serve these values. [UTC]';
grant select on bars_dollar to rrr_analyst;
grant select, insert, update, delete on bars_dollar to rrr_writer;

create index bars_dollar_day on bars_dollar using brin (day);
