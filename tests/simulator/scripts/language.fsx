Object source = Object.create("Source"); source.name = "In"; source.location = Vec3(0, 0, 0);
source.setProperty("InterArrivalTime", "return exponential(0, 10, getstream(current));");
Array processors = [];
for (int i = 1; i <= 3; i++) {
    Object p = Object.create("Processor");
    p.name = "P" + i;
    p.setProperty("ProcessTime", [i * 2, "s"]);
    processors.push(p);
    processors[i].location.x += 5 * i;
    contextdragconnection(i == 1 ? source : processors[i - 1], p, "A");
}
Object sink = createinstance(library().find("?Sink"), model()); setname(sink, "Out");
contextdragconnection(processors[3], sink, "A");
sink.setProperty("Triggers.OnEntry", "Object item = param(1); item.Seen = time(); print(item.Seen);");
int k = 0; while (k < 5) { k++; if (k % 2 == 0) continue; switch (k) { case 1: k += 1; break; default: k = k; } }
string text = "abc".replace("b", "x").slice(1, 3) + string.fromNum(Math.floor(2.5), 1);
Map map; map["a"] = 1; map["b"] = [1, 2, [3, 4]];
forobjecttreeunder(model()) { if (objectexists(a)) print(a.name); }
treenode found = Model.find("P1"); found.as(Object).color = Color.red; setvarnum(found, "setuptime", 1.5);
source.labels.assert("Count", 0); source.Count += text.length; Vec3 where = source.location + Vec3(1, 2, 3);
executestring("return 1 + 2;"); stoptime(500);
