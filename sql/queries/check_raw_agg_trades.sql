-- The rules of aggregated trades alone.
select
    'no id missing between the first and the last' as rule,
    false as is_blocking,
    coalesce(sum(l.missing_ids), 0) as broken,
    coalesce(sum(l.stored), 0) as looked_at,
    coalesce((array_agg(format('%%s: %%s ids', l.instrument, l.missing_ids)) filter (where l.missing_ids > 0))[1:5], '{{}}') as examples
from ledger as l;
