-- The current row of every instrument.
select
    instrument,
    valid_from,
    valid_to,
    venue,
    symbol,
    contract_type,
    price_scale,
    size_scale,
    bars_stream,
    listed_on,
    delisted_on
from instruments
where valid_to is null
order by instrument;
