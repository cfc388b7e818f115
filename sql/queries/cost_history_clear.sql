-- Takes away what was reported of a day, for a later report of the same day.
delete from cost_history
where day = %(day)s;
