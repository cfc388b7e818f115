-- What features are made from beside bars, the features, and what was believed of them before.

create table tick_minutes (
    instrument text collate "C" not null,
    bar_start timestamptz not null,
    available_at timestamptz not null,
    available_basis text not null,
    quote_count bigint not null,
    quoted_spread_bps double precision,
    effective_spread_bps double precision,
    depth_imbalance_close double precision,
    book_flow double precision,
    book_depth double precision,
    known_at timestamptz not null,
    constraint tick_minutes_key primary key (instrument, bar_start),
    constraint tick_minutes_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint tick_minutes_bar_order check (bar_start <= available_at)
);
create index tick_minutes_bar_start on tick_minutes using brin (bar_start);
comment on table tick_minutes is
'What a minute''s trades and quotes were like: spreads, depth, the flow of best orders, and when all of it could be used. A minute has a row where the day holds ticks of the instrument.';
comment on column tick_minutes.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column tick_minutes.bar_start is 'Start of the minute, inclusive; its end is excluded. [UTC]';
comment on column tick_minutes.available_at is
'When all of the minute could be used: the latest available_at of its ticks, never before its end; without ticks its end plus the venue''s publication delay. [UTC]';
comment on column tick_minutes.available_basis is 'Observed where that of every tick in it was.';
comment on column tick_minutes.quote_count is 'Quotes that came. [quotes]';
comment on column tick_minutes.quoted_spread_bps is
'(ask - bid) / mid, weighted by how long it stood; null where no usable quote stood, or quotes may be missing. [bps]';
comment on column tick_minutes.effective_spread_bps is
'2 |price - mid before| / mid of the trades, weighted by size; null where none has a usable quote before it. [bps]';
comment on column tick_minutes.depth_imbalance_close is
'(bid size - ask size) / (bid size + ask size) at the end; null as quoted_spread_bps. [-1 to 1]';
comment on column tick_minutes.book_flow is
'What best bids gained and best asks lost, in doubles; null as quoted_spread_bps. [of size]';
comment on column tick_minutes.book_depth is
'Mean of the best bid''s and ask''s sizes, weighted by how long they stood, in doubles; null as quoted_spread_bps. [of size]';
comment on column tick_minutes.known_at is 'When the platform could first serve these values. [UTC]';
grant select on tick_minutes to rrr_analyst;
grant select, insert, update, delete on tick_minutes to rrr_writer;

create table features_1m (
    instrument text collate "C" not null,
    event_time timestamptz not null,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    quoted_spread double precision,
    quoted_spread_5m double precision,
    effective_spread double precision,
    depth_imbalance double precision,
    order_flow_imbalance_5m double precision,
    hour_of_week double precision,
    volume_zscore_1h double precision,
    trade_rate_5m double precision,
    trade_imbalance_5m double precision,
    vpin_50 double precision,
    kyle_lambda_1h double precision,
    amihud_illiquidity_1h double precision,
    return_1m double precision,
    return_5m double precision,
    return_1h double precision,
    log_return_1m double precision,
    log_return_5m double precision,
    log_return_1h double precision,
    sma_20 double precision,
    ema_12 double precision,
    ema_26 double precision,
    macd double precision,
    macd_signal double precision,
    rsi_14 double precision,
    bollinger_upper double precision,
    bollinger_lower double precision,
    bollinger_percent_b double precision,
    vwap_deviation_1h double precision,
    atr_14 double precision,
    realised_volatility_1h double precision,
    parkinson_volatility_1h double precision,
    garman_klass_volatility_1h double precision,
    constraint features_1m_key primary key (instrument, event_time),
    constraint features_1m_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint features_1m_event_order check (event_time <= available_at)
);
create index features_1m_event_time on features_1m using brin (event_time);
comment on table features_1m is
'Every declared feature, one row per instrument and minute whose tape is whole or that has a bar. Current values only: what was believed before is in feature_revisions_1m.';
comment on column features_1m.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column features_1m.event_time is 'Close of the minute, the first moment at which its values can be known. [UTC]';
comment on column features_1m.available_at is
'When the values could be used: the latest available_at of the minutes that any of them is made from. [UTC]';
comment on column features_1m.available_basis is 'Whether that was observed or modelled.';
comment on column features_1m.known_at is 'When the platform could first serve these values. [UTC]';
comment on column features_1m.quoted_spread is 'Quoted spread of the minute, weighted by time. [in doubles: bps]';
comment on column features_1m.quoted_spread_5m is 'Quoted spread of the last 5 minutes. [in doubles: bps]';
comment on column features_1m.effective_spread is 'Effective spread of the minute''s trades, weighted by size. [in doubles: bps]';
comment on column features_1m.depth_imbalance is
'Imbalance of the best bid''s and ask''s sizes at the end of the minute. [in doubles: -1 to 1]';
comment on column features_1m.order_flow_imbalance_5m is
'Order-flow imbalance at the best quotes over the last 5 minutes. [in doubles: multiples of the mean depth]';
comment on column features_1m.hour_of_week is 'Hour of the week in UTC, 0 on Monday from midnight on. [in doubles: 0 to 167]';
comment on column features_1m.volume_zscore_1h is
'How unusual the minute''s volume is against the 60 minutes before it, which it is not part of itself. [in doubles: standard deviations]';
comment on column features_1m.trade_rate_5m is 'Trades a second in the last 5 minutes. [in doubles: trades / second]';
comment on column features_1m.trade_imbalance_5m is
'Imbalance of what aggressors bought and sold in the last 5 minutes. [in doubles: -1 to 1]';
comment on column features_1m.vpin_50 is
'Volume-synchronised probability of informed trading over 50 buckets of a minute each. [in doubles: 0 to 1]';
comment on column features_1m.kyle_lambda_1h is
'Kyle''s lambda: how far the price moves with what aggressors buy more than they sell, by least squares over the last hour. [in doubles: quote asset / base asset]';
comment on column features_1m.amihud_illiquidity_1h is
'Amihud''s illiquidity over the last hour: how far the price moves for what is spent. [in doubles: log ratio / million of quote asset]';
comment on column features_1m.return_1m is 'Simple return of the last minute. [in doubles: ratio]';
comment on column features_1m.return_5m is 'Simple return of the last 5 minutes. [in doubles: ratio]';
comment on column features_1m.return_1h is 'Simple return of the last hour. [in doubles: ratio]';
comment on column features_1m.log_return_1m is 'Log return of the last minute. [in doubles: log ratio]';
comment on column features_1m.log_return_5m is 'Log return of the last 5 minutes. [in doubles: log ratio]';
comment on column features_1m.log_return_1h is 'Log return of the last hour. [in doubles: log ratio]';
comment on column features_1m.sma_20 is 'Simple moving average of the last 20 closes. [in doubles: quote asset]';
comment on column features_1m.ema_12 is
'Exponential moving average of span 12 over the last 60 closes: what lies before weighs less than 0.005 %. [in doubles: quote asset]';
comment on column features_1m.ema_26 is
'Exponential moving average of span 26 over the last 130 closes: what lies before weighs less than 0.005 %. [in doubles: quote asset]';
comment on column features_1m.macd is
'Moving average convergence and divergence: the faster mean less the slower one. [in doubles: quote asset]';
comment on column features_1m.macd_signal is
'Signal line: exponential moving average of span 9 over the last 45 values of macd. [in doubles: quote asset]';
comment on column features_1m.rsi_14 is
'Relative strength index over 14 minutes by Wilder''s means of the last 140 changes, begun with the plain mean of the first 14. [in doubles: 0 to 100]';
comment on column features_1m.bollinger_upper is 'Upper Bollinger band over 20 closes. [in doubles: quote asset]';
comment on column features_1m.bollinger_lower is 'Lower Bollinger band over 20 closes. [in doubles: quote asset]';
comment on column features_1m.bollinger_percent_b is
'Where the close lies between the Bollinger bands. [in doubles: 0 at the lower band, 1 at the upper]';
comment on column features_1m.vwap_deviation_1h is
'How far the close lies above the volume-weighted average price of the last hour. [in doubles: bps]';
comment on column features_1m.atr_14 is
'Average true range over 14 minutes by Wilder''s mean of the last 140 true ranges, begun with the plain mean of the first 14. [in doubles: quote asset]';
comment on column features_1m.realised_volatility_1h is
'Realised volatility of the last hour, not annualised. [in doubles: log ratio over an hour]';
comment on column features_1m.parkinson_volatility_1h is
'Parkinson''s volatility of a minute from the ranges of the last hour''s minutes. [in doubles: log ratio over a minute]';
comment on column features_1m.garman_klass_volatility_1h is
'Garman and Klass'' volatility of a minute from the ranges and bodies of the last hour''s minutes. [in doubles: log ratio over a minute]';
grant select on features_1m to rrr_analyst;
grant select, insert, update, delete on features_1m to rrr_writer;

create table feature_revisions_1m (
    instrument text collate "C" not null,
    event_time timestamptz not null,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    quoted_spread double precision,
    quoted_spread_5m double precision,
    effective_spread double precision,
    depth_imbalance double precision,
    order_flow_imbalance_5m double precision,
    hour_of_week double precision,
    volume_zscore_1h double precision,
    trade_rate_5m double precision,
    trade_imbalance_5m double precision,
    vpin_50 double precision,
    kyle_lambda_1h double precision,
    amihud_illiquidity_1h double precision,
    return_1m double precision,
    return_5m double precision,
    return_1h double precision,
    log_return_1m double precision,
    log_return_5m double precision,
    log_return_1h double precision,
    sma_20 double precision,
    ema_12 double precision,
    ema_26 double precision,
    macd double precision,
    macd_signal double precision,
    rsi_14 double precision,
    bollinger_upper double precision,
    bollinger_lower double precision,
    bollinger_percent_b double precision,
    vwap_deviation_1h double precision,
    atr_14 double precision,
    realised_volatility_1h double precision,
    parkinson_volatility_1h double precision,
    garman_klass_volatility_1h double precision,
    believed_until timestamptz not null,
    constraint feature_revisions_1m_key primary key (instrument, event_time, known_at),
    constraint feature_revisions_1m_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint feature_revisions_1m_event_order check (event_time <= available_at),
    constraint feature_revisions_1m_known_order check (known_at <= believed_until)
);
create index feature_revisions_1m_event_time on feature_revisions_1m using brin (event_time);
comment on table feature_revisions_1m is
'Features as they were believed before they were made again, with the interval in which they were believed.';
comment on column feature_revisions_1m.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column feature_revisions_1m.event_time is 'Close of the minute, the first moment at which its values can be known. [UTC]';
comment on column feature_revisions_1m.available_at is
'When the values could be used: the latest available_at of the minutes that any of them is made from. [UTC]';
comment on column feature_revisions_1m.available_basis is 'Whether that was observed or modelled.';
comment on column feature_revisions_1m.known_at is 'When the platform could first serve these values. [UTC]';
comment on column feature_revisions_1m.quoted_spread is 'Quoted spread of the minute, weighted by time. [in doubles: bps]';
comment on column feature_revisions_1m.quoted_spread_5m is 'Quoted spread of the last 5 minutes. [in doubles: bps]';
comment on column feature_revisions_1m.effective_spread is 'Effective spread of the minute''s trades, weighted by size. [in doubles: bps]';
comment on column feature_revisions_1m.depth_imbalance is
'Imbalance of the best bid''s and ask''s sizes at the end of the minute. [in doubles: -1 to 1]';
comment on column feature_revisions_1m.order_flow_imbalance_5m is
'Order-flow imbalance at the best quotes over the last 5 minutes. [in doubles: multiples of the mean depth]';
comment on column feature_revisions_1m.hour_of_week is 'Hour of the week in UTC, 0 on Monday from midnight on. [in doubles: 0 to 167]';
comment on column feature_revisions_1m.volume_zscore_1h is
'How unusual the minute''s volume is against the 60 minutes before it, which it is not part of itself. [in doubles: standard deviations]';
comment on column feature_revisions_1m.trade_rate_5m is 'Trades a second in the last 5 minutes. [in doubles: trades / second]';
comment on column feature_revisions_1m.trade_imbalance_5m is
'Imbalance of what aggressors bought and sold in the last 5 minutes. [in doubles: -1 to 1]';
comment on column feature_revisions_1m.vpin_50 is
'Volume-synchronised probability of informed trading over 50 buckets of a minute each. [in doubles: 0 to 1]';
comment on column feature_revisions_1m.kyle_lambda_1h is
'Kyle''s lambda: how far the price moves with what aggressors buy more than they sell, by least squares over the last hour. [in doubles: quote asset / base asset]';
comment on column feature_revisions_1m.amihud_illiquidity_1h is
'Amihud''s illiquidity over the last hour: how far the price moves for what is spent. [in doubles: log ratio / million of quote asset]';
comment on column feature_revisions_1m.return_1m is 'Simple return of the last minute. [in doubles: ratio]';
comment on column feature_revisions_1m.return_5m is 'Simple return of the last 5 minutes. [in doubles: ratio]';
comment on column feature_revisions_1m.return_1h is 'Simple return of the last hour. [in doubles: ratio]';
comment on column feature_revisions_1m.log_return_1m is 'Log return of the last minute. [in doubles: log ratio]';
comment on column feature_revisions_1m.log_return_5m is 'Log return of the last 5 minutes. [in doubles: log ratio]';
comment on column feature_revisions_1m.log_return_1h is 'Log return of the last hour. [in doubles: log ratio]';
comment on column feature_revisions_1m.sma_20 is 'Simple moving average of the last 20 closes. [in doubles: quote asset]';
comment on column feature_revisions_1m.ema_12 is
'Exponential moving average of span 12 over the last 60 closes: what lies before weighs less than 0.005 %. [in doubles: quote asset]';
comment on column feature_revisions_1m.ema_26 is
'Exponential moving average of span 26 over the last 130 closes: what lies before weighs less than 0.005 %. [in doubles: quote asset]';
comment on column feature_revisions_1m.macd is
'Moving average convergence and divergence: the faster mean less the slower one. [in doubles: quote asset]';
comment on column feature_revisions_1m.macd_signal is
'Signal line: exponential moving average of span 9 over the last 45 values of macd. [in doubles: quote asset]';
comment on column feature_revisions_1m.rsi_14 is
'Relative strength index over 14 minutes by Wilder''s means of the last 140 changes, begun with the plain mean of the first 14. [in doubles: 0 to 100]';
comment on column feature_revisions_1m.bollinger_upper is 'Upper Bollinger band over 20 closes. [in doubles: quote asset]';
comment on column feature_revisions_1m.bollinger_lower is 'Lower Bollinger band over 20 closes. [in doubles: quote asset]';
comment on column feature_revisions_1m.bollinger_percent_b is
'Where the close lies between the Bollinger bands. [in doubles: 0 at the lower band, 1 at the upper]';
comment on column feature_revisions_1m.vwap_deviation_1h is
'How far the close lies above the volume-weighted average price of the last hour. [in doubles: bps]';
comment on column feature_revisions_1m.atr_14 is
'Average true range over 14 minutes by Wilder''s mean of the last 140 true ranges, begun with the plain mean of the first 14. [in doubles: quote asset]';
comment on column feature_revisions_1m.realised_volatility_1h is
'Realised volatility of the last hour, not annualised. [in doubles: log ratio over an hour]';
comment on column feature_revisions_1m.parkinson_volatility_1h is
'Parkinson''s volatility of a minute from the ranges of the last hour''s minutes. [in doubles: log ratio over a minute]';
comment on column feature_revisions_1m.garman_klass_volatility_1h is
'Garman and Klass'' volatility of a minute from the ranges and bodies of the last hour''s minutes. [in doubles: log ratio over a minute]';
comment on column feature_revisions_1m.believed_until is
'known_at of what replaced it; it was believed from its own known_at until then. [UTC]';
grant select on feature_revisions_1m to rrr_analyst;
grant select, insert on feature_revisions_1m to rrr_writer;

-- Feast's registry makes its own tables.
create schema feast;
grant usage, create on schema feast to rrr_writer;
grant usage on schema feast to rrr_analyst;
