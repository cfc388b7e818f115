-- What the rows of a table, or of a time of it, break of the rules of its contract: how many were looked at, and a count for each rule,
-- in one pass.
select
    count(*) as looked_at,
    array[{counts}]::bigint[] as broken
from {table}
where {chosen};
