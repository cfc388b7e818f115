-- What a row of ticks tells, as one number: who looks for rows that tell the same compares and groups by it, and sorts no prices.

create function told_by_trade(price numeric, size numeric, side text) returns bigint
language sql immutable parallel safe
return hash_numeric_extended(price, hash_numeric_extended(size, coalesce((side = 'buy')::integer, 2)));
comment on function told_by_trade(numeric, numeric, text) is 'A number that stands for the price, size and side of a trade.';

create function told_by_quote(bid_price numeric, bid_size numeric, ask_price numeric, ask_size numeric) returns bigint
language sql immutable parallel safe
return hash_numeric_extended(
    coalesce(bid_price, 0),
    hash_numeric_extended(
        coalesce(bid_size, 0), hash_numeric_extended(coalesce(ask_price, 0), hash_numeric_extended(coalesce(ask_size, 0), 0))
    )
);
comment on function told_by_quote(numeric, numeric, numeric, numeric) is 'A number that stands for both prices and both sizes of a quote.';

grant execute on function told_by_trade(numeric, numeric, text), told_by_quote(numeric, numeric, numeric, numeric) to rrr_writer;
