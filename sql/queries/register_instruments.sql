-- Enters instruments that are seen for the first time, with what is known of their venue.
insert into instruments (instrument, valid_from, venue, symbol, contract_type, price_scale, size_scale)
select
    seen.instrument, timestamptz '2009-01-01 00:00:00+00', split_part(seen.instrument, ':', 1), split_part(seen.instrument, ':', 2),
    seen.contract_type, seen.price_scale, seen.size_scale
from
    unnest(
        %(instruments)s::text[], %(contract_types)s::text[], %(price_scales)s::smallint[], %(size_scales)s::smallint[]
    ) as seen (instrument, contract_type, price_scale, size_scale)
where not exists (select 1 from instruments as known where known.instrument = seen.instrument)
on conflict do nothing;
