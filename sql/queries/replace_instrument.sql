-- Closes an instrument's current row and opens another with what is given; what is null stays as it was.
with closed as (
    update instruments set valid_to = now()
    where instrument = %(instrument)s and valid_to is null
    returning *
)

insert into instruments (
    instrument, valid_from, venue, symbol, contract_type, price_scale, size_scale, bars_stream, listed_on, delisted_on
)
select
    instrument,
    now() as valid_from,
    venue,
    symbol,
    contract_type,
    coalesce(%(price_scale)s, price_scale) as price_scale,
    coalesce(%(size_scale)s, size_scale) as size_scale,
    bars_stream,
    coalesce(%(listed_on)s, listed_on) as listed_on,
    coalesce(%(delisted_on)s, delisted_on) as delisted_on
from closed
returning listed_on, delisted_on;
