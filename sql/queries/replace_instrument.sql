-- Closes an instrument's current row and opens another with what is given; what is null stays as it was. Answers what holds now, and
-- the stream that its bars came from before.
with closed as (
    update instruments set valid_to = now()
    where instrument = %(instrument)s and valid_to is null
    returning *
),

opened as (
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
        coalesce(%(bars_stream)s, bars_stream) as bars_stream,
        coalesce(%(listed_on)s, listed_on) as listed_on,
        coalesce(%(delisted_on)s, delisted_on) as delisted_on
    from closed
    returning listed_on, delisted_on, bars_stream
)

select
    o.listed_on,
    o.delisted_on,
    o.bars_stream,
    c.bars_stream as bars_stream_before
from opened as o
cross join closed as c;
