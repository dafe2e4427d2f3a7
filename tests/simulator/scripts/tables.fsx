treenode tool = Tools.create("GlobalTable"); tool.name = "Plan";
Table plan = Table("Plan"); plan.setSize(3, 3);
for (int row = 1; row <= plan.numRows; row++) { plan[row][1] = row * 10; plan[row][2] = "Station" + row; plan[row][3] = 100 / 3; }
Object source = Object.create("Source"); source.name = "Arrivals"; source.setProperty("InterArrivalTime", 20);
Object last = source;
for (int row = 1; row <= 3; row++) {
    Object station = Object.create("Processor"); station.name = plan[row][2];
    station.setProperty("ProcessTime", plan[row][1]);
    contextdragconnection(last, station, "A"); last = station;
}
Object sink = Object.create("Sink"); sink.name = "Exit"; contextdragconnection(last, sink, "A");
settablenum("Plan", 1, 1, 5); print(gettablenum("Plan", 1, 1), plan.numCols, plan.getRowHeader(1));
