string text = "ab"; Array rows = []; Map seen; double sum = 0;
for (int i = 1; i <= 6; i++) { text = text + text; rows.push([i, text]); seen[text] = rows.clone(); }
for (int i = 0; i < 40; i++) { for (int j = 0; j < 10; j++) { sum += Math.sqrt(i * j); } }
int n = 30; while (n > 0) { n -= 1; }
rows.sort(); string joined = rows.join(","); text = text.replace("a", "bbbb"); string padded = text.padStart(200, "x");
Object source = Object.create("Source"); source.name = "Flood"; source.setProperty("InterArrivalTime", 2);
Object pulse = Object.create("Source"); pulse.name = "Pulse"; pulse.setProperty("ArrivalStyle", "Arrival Schedule");
pulse.setProperty("ArrivalSchedule", [[5, "Part", 40], [20, "Part", 3]]); pulse.setProperty("RepeatTable", 1);
Object last = source;
for (int i = 1; i <= 4; i++) {
    Object queue = Object.create("Queue"); queue.name = "Q" + i; queue.setProperty("MaxContent", 100);
    contextdragconnection(last, queue, "A"); last = queue;
}
contextdragconnection(pulse, last, "A");
Object press = Object.create("Processor"); press.name = "Press"; press.setProperty("MaxContent", 3);
press.setProperty("ProcessTime", "double t = 0; for (int k = 0; k < 20; k++) { t += uniform(0, 0.1); } return t;");
Object copier = Object.create("Separator"); copier.name = "Copier"; copier.setProperty("SeparateMode", "Split");
copier.setProperty("SeparateQty", 3); copier.setProperty("ProcessTime", 1);
copier.setProperty("SendToPort", "return duniform(1, 2);");
Object sink = Object.create("Sink"); sink.name = "Drain";
sink.setProperty("Triggers.OnEntry", "Object item = param(1); item.Trail = \"x\"; print(executestring(\"return 1 + 1;\"));");
contextdragconnection(last, press, "A"); contextdragconnection(press, copier, "A");
contextdragconnection(copier, sink, "A"); contextdragconnection(copier, last, "A");
