-- The desk's own tables: sentiment, orders, positions, portfolio, signals, models, events.
-- Every *_finite check refuses NaN and infinity, which numeric would take and a read could not return: NaN sorts above
-- infinity, and `greatest` passes over nulls.

create table market_sentiment (
    sentiment_id bigint generated always as identity not null,
    asset text collate "C" not null,
    event_time timestamptz not null,
    source text not null,
    sentiment_label text,
    sentiment_score numeric,
    confidence numeric,
    text text,
    metadata jsonb,
    known_at timestamptz not null,
    constraint market_sentiment_key primary key (sentiment_id),
    constraint market_sentiment_source_accepted check (source in ('perplexity', 'twitter', 'reddit')),
    constraint market_sentiment_sentiment_score_range check (sentiment_score between -1 and 1),
    constraint market_sentiment_confidence_range check (confidence between 0 and 1)
);
comment on table market_sentiment is 'What a source felt about an asset at a time, as it was scored.';
comment on column market_sentiment.sentiment_id is 'The row''s number.';
comment on column market_sentiment.asset is 'The asset it is about, as in BTC.';
comment on column market_sentiment.event_time is 'When it was said, or when the source summed it up. [UTC]';
comment on column market_sentiment.source is 'Where it comes from.';
comment on column market_sentiment.sentiment_label is 'The score in a word; null where the source gives none.';
comment on column market_sentiment.sentiment_score is 'From -1, against, to 1, in favour; null where the source gives none.';
comment on column market_sentiment.confidence is 'Confidence in the score, from 0 to 1; null where the source gives none.';
comment on column market_sentiment.text is 'What was scored; null where it was not kept.';
comment on column market_sentiment.metadata is 'What else was said of it; null where nothing was.';
comment on column market_sentiment.known_at is 'When the platform could first serve these values. [UTC]';
grant select on market_sentiment to rrr_analyst;
grant select, insert, update on market_sentiment to rrr_writer;

create index market_sentiment_asset on market_sentiment (asset, event_time);

create table orders (
    order_id text collate "C" not null,
    instrument text collate "C" not null,
    event_time timestamptz not null,
    side text not null,
    order_type text not null,
    quantity numeric not null,
    price numeric,
    stop_price numeric,
    status text not null,
    filled_quantity numeric not null default 0,
    average_fill_price numeric,
    commission numeric,
    commission_asset text,
    filled_at timestamptz,
    cancelled_at timestamptz,
    metadata jsonb,
    known_at timestamptz not null,
    constraint orders_key primary key (order_id),
    constraint orders_side_accepted check (side in ('buy', 'sell')),
    constraint orders_order_type_accepted check (order_type in ('market', 'limit', 'stop', 'stop_limit')),
    constraint orders_status_accepted check (status in ('pending', 'partially_filled', 'filled', 'cancelled', 'rejected')),
    constraint orders_quantity_positive check (quantity > 0),
    constraint orders_filled_quantity_range check (filled_quantity >= 0),
    constraint orders_finite check (
        greatest(quantity, abs(price), abs(stop_price), filled_quantity, abs(average_fill_price), abs(commission)) < 'infinity'
    )
);
comment on table orders is 'Every order of the desk in its current state, one row each.';
comment on column orders.order_id is 'The desk''s own name of the order, unique over all venues.';
comment on column orders.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column orders.event_time is 'When the order was submitted. [UTC]';
comment on column orders.side is 'Whether the desk buys or sells.';
comment on column orders.order_type is 'How it is to be executed.';
comment on column orders.quantity is 'Quantity ordered. [base asset or contracts]';
comment on column orders.price is 'Limit price; null for an order without one. [quote asset]';
comment on column orders.stop_price is 'Price that triggers it; null for an order without one. [quote asset]';
comment on column orders.status is 'How far it has come.';
comment on column orders.filled_quantity is 'Quantity executed so far. [base asset or contracts]';
comment on column orders.average_fill_price is 'Mean price of the fills, weighted by quantity; null before one. [quote asset]';
comment on column orders.commission is 'Fees charged so far; null where not said. [commission_asset]';
comment on column orders.commission_asset is 'Asset the fees were charged in; null where not said.';
comment on column orders.filled_at is 'When it was filled whole; null where it was not. [UTC]';
comment on column orders.cancelled_at is 'When it was cancelled; null where it was not. [UTC]';
comment on column orders.metadata is 'What else was said of it; null where nothing was.';
comment on column orders.known_at is 'When the platform could first serve these values. [UTC]';
grant select on orders to rrr_analyst;
grant select, insert, update on orders to rrr_writer;

create index orders_instrument on orders (instrument, event_time);

create table positions (
    position_id bigint generated always as identity not null,
    instrument text collate "C" not null,
    event_time timestamptz not null,
    status text not null,
    quantity numeric not null,
    average_entry_price numeric not null,
    current_price numeric,
    unrealized_pnl numeric,
    realized_pnl numeric not null default 0,
    closed_at timestamptz,
    known_at timestamptz not null,
    constraint positions_key primary key (position_id),
    constraint positions_status_accepted check (status in ('open', 'closed')),
    constraint positions_closed_at_when_closed check ((status = 'closed') = (closed_at is not null)),
    constraint positions_finite check (
        greatest(abs(quantity), abs(average_entry_price), abs(current_price), abs(unrealized_pnl), abs(realized_pnl)) < 'infinity'
    )
);
comment on table positions is
'Every position the desk has held, in its current state. At most one is open per instrument, and so per venue.';
comment on column positions.position_id is 'The position''s number.';
comment on column positions.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column positions.event_time is 'When the position was opened. [UTC]';
comment on column positions.status is 'Whether it is still held.';
comment on column positions.quantity is 'Quantity held, or last held when closed; negative when short. [base asset or contracts]';
comment on column positions.average_entry_price is 'Mean price of entry, weighted by quantity. [quote asset]';
comment on column positions.current_price is 'Price it is valued at; null before it was valued. [quote asset]';
comment on column positions.unrealized_pnl is 'Profit if it were closed at current_price; null before it was valued. [quote asset]';
comment on column positions.realized_pnl is 'Profit of what was closed so far. [quote asset]';
comment on column positions.closed_at is 'When the position was closed; null while it is open. [UTC]';
comment on column positions.known_at is 'When the platform could first serve these values. [UTC]';
grant select on positions to rrr_analyst;
grant select, insert, update on positions to rrr_writer;

-- Any number of closed positions, one open: an instrument names its venue.
create unique index positions_one_open on positions (instrument) where status = 'open';
create index positions_instrument on positions (instrument, event_time);

create table portfolio_snapshots (
    snapshot_id bigint generated always as identity not null,
    event_time timestamptz not null,
    total_value numeric not null,
    cash_balance numeric not null,
    positions_value numeric not null,
    daily_pnl numeric,
    total_pnl numeric,
    metadata jsonb,
    known_at timestamptz not null,
    constraint portfolio_snapshots_key primary key (snapshot_id),
    constraint portfolio_snapshots_finite check (
        greatest(abs(total_value), abs(cash_balance), abs(positions_value), abs(daily_pnl), abs(total_pnl)) < 'infinity'
    )
);
comment on table portfolio_snapshots is
'What the desk''s portfolio was worth at a time. A valuation made again is a new row: the latest known_at counts.';
comment on column portfolio_snapshots.snapshot_id is 'The row''s number.';
comment on column portfolio_snapshots.event_time is 'The time it is valued at. [UTC]';
comment on column portfolio_snapshots.total_value is 'Cash and positions together. [reporting currency]';
comment on column portfolio_snapshots.cash_balance is 'Cash. [reporting currency]';
comment on column portfolio_snapshots.positions_value is 'Value of the open positions. [reporting currency]';
comment on column portfolio_snapshots.daily_pnl is 'Profit since the start of the UTC day; null where not computed. [reporting currency]';
comment on column portfolio_snapshots.total_pnl is 'Profit since the beginning; null where not computed. [reporting currency]';
comment on column portfolio_snapshots.metadata is 'What else was said of it; null where nothing was.';
comment on column portfolio_snapshots.known_at is 'When the platform could first serve these values. [UTC]';
grant select on portfolio_snapshots to rrr_analyst;
grant select, insert, update on portfolio_snapshots to rrr_writer;

create index portfolio_snapshots_event_time on portfolio_snapshots (event_time);

create table trading_signals (
    signal_id bigint generated always as identity not null,
    instrument text collate "C" not null,
    event_time timestamptz not null,
    signal_type text not null,
    signal text not null,
    confidence numeric,
    price_target numeric,
    stop_loss numeric,
    metadata jsonb,
    known_at timestamptz not null,
    constraint trading_signals_key primary key (signal_id),
    constraint trading_signals_signal_accepted check (signal in ('buy', 'sell', 'hold')),
    constraint trading_signals_confidence_range check (confidence between 0 and 1),
    constraint trading_signals_finite check (greatest(abs(price_target), abs(stop_loss)) < 'infinity')
);
comment on table trading_signals is 'Every signal that was raised on an instrument, whether it was acted on or not.';
comment on column trading_signals.signal_id is 'The row''s number.';
comment on column trading_signals.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column trading_signals.event_time is 'When the signal was raised. [UTC]';
comment on column trading_signals.signal_type is 'What raised it: the strategy or the indicator.';
comment on column trading_signals.signal is 'What it says to do.';
comment on column trading_signals.confidence is 'Confidence in it, from 0 to 1; null where none was given.';
comment on column trading_signals.price_target is 'Price to take profit at; null where none was given. [quote asset]';
comment on column trading_signals.stop_loss is 'Price to give up at; null where none was given. [quote asset]';
comment on column trading_signals.metadata is 'What else was said of it; null where nothing was.';
comment on column trading_signals.known_at is 'When the platform could first serve these values. [UTC]';
grant select on trading_signals to rrr_analyst;
grant select, insert, update on trading_signals to rrr_writer;

create index trading_signals_instrument on trading_signals (instrument, event_time);

create table ml_models (
    model_name text collate "C" not null,
    model_version text collate "C" not null,
    model_type text not null,
    architecture jsonb,
    hyperparameters jsonb,
    training_metrics jsonb,
    validation_metrics jsonb,
    is_deployed boolean not null default false,
    deployed_at timestamptz,
    known_at timestamptz not null,
    constraint ml_models_key primary key (model_name, model_version)
);
comment on table ml_models is 'Every version of every model: how it was made, how well it did, whether it is in use.';
comment on column ml_models.model_name is 'What the model is called.';
comment on column ml_models.model_version is 'Which version of it.';
comment on column ml_models.model_type is 'The family it is of.';
comment on column ml_models.architecture is 'How it is built; null where not said.';
comment on column ml_models.hyperparameters is 'What it was trained with; null where not said.';
comment on column ml_models.training_metrics is 'How it did on what it was trained on; null where not measured.';
comment on column ml_models.validation_metrics is 'How it did on what was held back; null where not measured.';
comment on column ml_models.is_deployed is 'Whether it is in use.';
comment on column ml_models.deployed_at is 'When it was last put to use; null where it never was. [UTC]';
comment on column ml_models.known_at is 'When the platform could first serve these values. [UTC]';
grant select on ml_models to rrr_analyst;
grant select, insert, update on ml_models to rrr_writer;

create table model_predictions (
    prediction_id bigint generated always as identity not null,
    model_name text collate "C" not null,
    model_version text collate "C" not null,
    instrument text collate "C" not null,
    event_time timestamptz not null,
    prediction_type text not null,
    predicted_value numeric not null,
    actual_value numeric,
    error numeric,
    actual_known_at timestamptz,
    metadata jsonb,
    known_at timestamptz not null,
    constraint model_predictions_key primary key (prediction_id),
    constraint model_predictions_model foreign key (model_name, model_version) references ml_models (model_name, model_version),
    constraint model_predictions_actual_known check ((actual_value is null) = (actual_known_at is null)),
    constraint model_predictions_finite check (greatest(abs(predicted_value), abs(actual_value), abs(error)) < 'infinity')
);
comment on table model_predictions is 'Every prediction of a model, and what came of it once that is known.';
comment on column model_predictions.prediction_id is 'The row''s number.';
comment on column model_predictions.model_name is 'The model in ml_models that made it.';
comment on column model_predictions.model_version is 'The version in ml_models that made it.';
comment on column model_predictions.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column model_predictions.event_time is 'The time as of which it was made. [UTC]';
comment on column model_predictions.prediction_type is 'What is predicted; it says the unit of the values.';
comment on column model_predictions.predicted_value is 'What the model said.';
comment on column model_predictions.actual_value is 'What came; null while it is not known.';
comment on column model_predictions.error is 'How far off the model was, by its own measure; null while it is not known.';
comment on column model_predictions.actual_known_at is 'When actual_value and error could first be served; null while unknown. [UTC]';
comment on column model_predictions.metadata is 'What else was said of it; null where nothing was.';
comment on column model_predictions.known_at is 'When the platform could first serve the prediction. [UTC]';
grant select on model_predictions to rrr_analyst;
grant select, insert, update on model_predictions to rrr_writer;

create index model_predictions_model on model_predictions (model_name, model_version, event_time);
create index model_predictions_instrument on model_predictions (instrument, event_time);

create table system_events (
    event_id bigint generated always as identity not null,
    event_time timestamptz not null,
    event_type text not null,
    severity text not null,
    component text,
    message text not null,
    metadata jsonb,
    known_at timestamptz not null,
    constraint system_events_key primary key (event_id),
    constraint system_events_severity_accepted check (severity in ('info', 'warning', 'error', 'critical'))
);
comment on table system_events is 'What happened in the components of the desk, for the people who run it.';
comment on column system_events.event_id is 'The row''s number.';
comment on column system_events.event_time is 'When it happened. [UTC]';
comment on column system_events.event_type is 'What kind of event it is.';
comment on column system_events.severity is 'How bad it is.';
comment on column system_events.component is 'Where it happened; null where not said.';
comment on column system_events.message is 'What happened, as a sentence.';
comment on column system_events.metadata is 'What else was said of it; null where nothing was.';
comment on column system_events.known_at is 'When the platform could first serve these values. [UTC]';
grant select on system_events to rrr_analyst;
grant select, insert, update on system_events to rrr_writer;

create index system_events_event_time on system_events (event_time);

create table api_usage (
    usage_id bigint generated always as identity not null,
    event_time timestamptz not null,
    api_name text not null,
    endpoint text,
    request_count bigint not null default 1,
    response_time_ms numeric,
    status_code smallint,
    error_message text,
    known_at timestamptz not null,
    constraint api_usage_key primary key (usage_id),
    constraint api_usage_request_count_range check (request_count >= 0),
    constraint api_usage_response_time_ms_range check (response_time_ms >= 0 and response_time_ms < 'infinity')
);
comment on table api_usage is 'Calls of other people''s interfaces, and how they went.';
comment on column api_usage.usage_id is 'The row''s number.';
comment on column api_usage.event_time is 'When it was called. [UTC]';
comment on column api_usage.api_name is 'Whose interface.';
comment on column api_usage.endpoint is 'Which part of it; null where not said.';
comment on column api_usage.request_count is 'Calls that this row stands for. [calls]';
comment on column api_usage.response_time_ms is 'How long the answer took; null where none came. [ms]';
comment on column api_usage.status_code is 'The answer''s HTTP status; null where none came.';
comment on column api_usage.error_message is 'What went wrong; null where nothing did.';
comment on column api_usage.known_at is 'When the platform could first serve these values. [UTC]';
grant select on api_usage to rrr_analyst;
grant select, insert, update on api_usage to rrr_writer;

create index api_usage_event_time on api_usage (event_time);
