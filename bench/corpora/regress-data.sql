insert into onek
select n * 37 % 100, n, n % 2, n % 4, n % 10, n % 20, n % 100, n % 50, n % 70, n % 80, n, n % 2 * 2 + 1, n % 4 * 2,
       chr(65 + n % 26) || 'AAAAA', chr(65 + n * 7 % 26) || 'BBBBB', (array['AAAAxx', 'HHHHxx', 'OOOOxx', 'VVVVxx'])[1 + n % 4]
from generate_series(0, 99) n;
insert into tenk1 select * from onek where unique2 < 80;
insert into int2_tbl values (0), (1234), (-1234), (32767), (-32767);
insert into int4_tbl values (0), (123456), (-123456), (2147483647), (-2147483647), (1);
insert into int8_tbl values (123, 456), (123, 4567890123456789), (4567890123456789, 123), (4567890123456789, -4567890123456789), (1, null);
insert into float4_tbl values (0), (1004.30), (-34.84), (1.2345678901234e+20), (1.2345678901234e-20), ('NaN');
insert into float8_tbl values (0), (1004.30), (-34.84), (1.2345678901234e+200), ('-0'), ('Infinity');
insert into text_tbl values ('doh!'), ('hi de ho neighbor'), (''), (null);
insert into varchar_tbl values ('a'), ('ab'), ('abcd'), ('A');
insert into char_tbl values ('a'), ('ab  '), ('abcd'), ('');
insert into bool_tbl values (true), (false), (null), (true);
insert into date_tbl values ('1957-04-09'), ('1996-02-29'), ('2000-04-01'), ('2040-04-10 BC'), ('infinity'), (null);
insert into time_tbl values ('00:00'), ('02:03'), ('11:59'), ('23:59:59.99'), ('24:00');
insert into timestamp_tbl values ('1997-02-10 17:32:01'), ('2000-01-01'), ('-infinity'), ('2001-09-22 18:19:20.5'), (null);
insert into timestamptz_tbl values ('1997-02-10 17:32:01-08'), ('2000-01-01 00:00+00'), ('infinity'), ('1997-02-11 01:32:01+00');
insert into interval_tbl values ('1 minute'), ('5 hours'), ('10 days'), ('34 years'), ('3 months'), ('-14 seconds'), ('240 hours');
insert into point_tbl values ('(0,0)'), ('(-10,0)'), ('(5.1,34.5)'), ('(1e-300,-1e-300)'), (null);
insert into box_tbl values ('(2,2,0,0)'), ('(3,3,1,1)'), ('(2.5,2.5,2.5,3.5)');
insert into inet_tbl values ('192.168.1', '192.168.1.226/24'), ('10', '10.1.2.3/8'), ('10.1.2.3', '10.1.2.3'), ('::/24', '::1');
insert into arrtest values ('{1,2}', '{{0,1},{2,3}}', '{foo}', '{bar,baz}'), ('{}', '{}', '{}', '{}'), ('{3,NULL}', null, '{a,b}', '{"with space"}');
insert into jsonb_tbl select n, jsonb_build_object('a', n % 3, 'b', jsonb_build_array(n, 'x'), 'c', case when n % 2 = 0 then 'y' end) from generate_series(1, 12) n;
insert into person values ('mike', 40, '(3.1,6.2)'), ('joe', 20, '(5.5,2.5)'), ('sally', 34, '(3.8,45.8)'), ('kay', null, null);
insert into emp values ('sharon', 25, '(15,12)', 1000, 'sam'), ('sam', 30, '(10,5)', 2000, 'bill'), ('bill', 20, '(11,10)', 1000, 'sharon');
insert into student values ('fred', 28, '(3.1,-1.5)', 3.7), ('larry', 60, '(21,7)', 3.1);
insert into stud_emp values ('jeff', 23, '(8,7.7)', 600, 'sharon', 3.5, 20), ('cim', 30, '(10.5,4.7)', 400, null, 3.4, 50);
insert into road values ('main st', '[(0,0),(1,1)]'), ('side st', '[(2,0),(3,1)]');
insert into ihighway values ('I-5', '[(0,0),(9,9)]'), ('I-80', '[(1,0),(7,9)]');
insert into shighway values ('State Hwy 1', '[(0,3),(4,4)]', 'asphalt'), ('State Hwy 9', '[(0,5),(5,4)]', 'gravel');
insert into aggtest values (56, 7.8), (100, 99.097), (0, 0.09561), (42, 324.78), (42, 7.8);
insert into j1_tbl values (1, 4, 'one'), (2, 3, 'two'), (3, 2, 'three'), (4, 1, 'four'), (5, 0, 'five'), (0, null, 'zero'), (null, null, 'null'), (null, 0, 'zero');
insert into j2_tbl values (1, -1), (2, 2), (3, -3), (2, 4), (5, -5), (5, -5), (0, null), (null, null), (null, 0);
insert into empsalary values ('develop', 10, 5200, '2007-08-01'), ('sales', 1, 5000, '2006-10-01'), ('personnel', 5, 3500, '2007-12-10'),
  ('sales', 4, 4800, '2007-08-08'), ('personnel', 2, 3900, '2006-12-23'), ('develop', 7, 4200, '2008-01-01'), ('develop', 9, 4500, '2008-01-01'), ('sales', 3, 4800, '2007-08-01');
insert into weather values ('San Francisco', 46, 50, 0.25, '1994-11-27'), ('San Francisco', 43, 57, 0, '1994-11-29'), ('Hayward', 37, 54, null, '1994-11-29');
insert into cities values ('San Francisco', 724000, 63), ('Las Vegas', 258300, 2174), ('Mariposa', 1200, 1953);
insert into capitals values ('Sacramento', 369400, 30, 'CA'), ('Madison', 191300, 845, 'WI');
insert into products values (1, 'cheese', 9.99), (2, 'bread', 1.99), (3, 'milk', 2.99), (4, 'tea', null);
insert into tree values (1, null, 'root'), (2, 1, 'left'), (3, 1, 'right'), (4, 2, 'leaf'), (5, 4, 'deep'), (6, null, 'other');
insert into measurement values (1, '2006-02-10', 10, 5), (2, '2006-02-20', 12, 6), (1, '2006-03-05', 15, 2), (3, '2007-01-01', null, 9);
insert into range_list values (1, 'a'), (2, 'b'), (3, null), (15, null), (9, 'a');
insert into documents (id, title, body) select n, 'about ' || (array['cats', 'dogs', 'rats'])[1 + n % 3], 'text ' || n % 4 || case when n % 2 = 0 then ' quick fox' else '' end from generate_series(1, 10) n;
