-- Removes an instrument's bars of one kind and day, of which no rule holds any more; answers the time that each spanned.
delete from {target}
where instrument = %(instrument)s and day = %(day)s
returning bar_start, bar_end;
